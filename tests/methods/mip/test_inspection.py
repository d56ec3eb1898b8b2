"""Looking into MIP changes nothing, and shows what the blocks do."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from promptreid.methods.baselines.vits import vit_reid
from promptreid.methods.mip.options import mip_paper, mip_release
from promptreid.models.inspection import Inspectable, rollout


@pytest.fixture
def model(tiny_mip: Any) -> Any:
    return tiny_mip(options=mip_paper(prompt_length=3)).eval()


def test_the_descriptor_is_the_same_bit_by_bit_before_and_after(model: Any, batch: Any) -> None:
    with torch.no_grad():
        before = model(batch)
        inspection = model.inspect(batch, "all")
        assert torch.equal(model(batch), before)
    assert not model.instance_prompts._forward_pre_hooks and isinstance(model, Inspectable)
    for layer in (*inspection.layers, *inspection.readings):
        assert torch.allclose(layer.weights.sum(dim=-1), torch.ones(layer.weights.shape[:-1]), atol=1e-5)
    assert [dict(layer.families) for layer in inspection.layers] == [
        *[{"class": (0, 1), "patches": (1, 51), "modality": (51, 54), "instance": (54, 57)}] * 3,
        {"class": (0, 1), "patches": (1, 51)},
    ]
    assert inspection.grid == (10, 5) and inspection.modality.tolist() == [0, 1] * 3
    assert rollout(inspection).shape == (6, 10, 5)


def test_the_weights_are_those_that_made_the_next_block_s_tokens(model: Any, batch: Any) -> None:
    """The class token after the head's block, made of the recorded weights alone."""
    inspection = model.inspect(batch, "all")
    slots = batch["images"][:, 0], batch["modality"][:, 0], batch["camera"]
    with torch.no_grad():
        tokens, _ = model._trunk(*slots)
        block = model.head.b1.block
        value = block.attn.qkv(block.norm1(tokens))[..., 64:].unflatten(-1, (2, 16)).transpose(1, 2)
        mixed = (inspection.layers[-1].by("class") @ value).transpose(1, 2).flatten(2)
        middle = tokens[:, :1] + block.attn.proj(mixed)
        expected = model.head.b1.norm(middle + block.mlp(block.norm2(middle)))[:, 0]
        assert torch.allclose(model.features(*slots)[0][0], expected, atol=1e-5)


def test_zero_queries_make_copies_and_naive_prompts_belong_to_nobody(tiny_mip: Any, batch: Any) -> None:
    released = tiny_mip(options=mip_release(prompt_length=3, skipped_blocks=0)).eval().inspect(batch)
    instance = [each for each in released.prompts if each.family == "instance"]
    assert instance and all(each.copies == [[0, 1, 2]] for each in instance)
    naive = tiny_mip(options=mip_paper(prompt_length=3, naive_prompts=True)).eval().inspect(batch)
    assert {each.modality for each in naive.prompts if each.family == "modality"} == {""}


def test_without_a_family_is_the_model_that_never_had_it(model: Any, tiny_mip: Any, batch: Any) -> None:
    assert model.prompt_families == ("modality", "instance")
    other = tiny_mip(options=mip_paper(prompt_length=3, modality_prompts=False)).eval()
    other.load_state_dict({name: value for name, value in model.state_dict().items() if "modality" not in name})
    with torch.no_grad():
        before = model(batch)
        assert torch.equal(model.without(["modality"])(batch), other(batch))
        assert torch.equal(model(batch), before) and model.modality_prompts is not None
        assert torch.equal(model.image_features(batch).features, before)
    with pytest.raises(ValueError, match="has no 'words' prompts; it has modality, instance"):
        model.without(["words"])


def test_a_plain_vit_has_attention_and_no_prompts(tiny_mip: Any, batch: Any) -> None:
    plain = tiny_mip(options=vit_reid()).eval()
    inspection = plain.inspect(batch)
    assert inspection.families == ("class", "patches") and not inspection.prompts and plain.prompt_families == ()
    with pytest.raises(ValueError, match=r"call model\.eval\(\) first"):
        plain.train().inspect(batch)
