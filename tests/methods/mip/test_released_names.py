"""The translation of the authors' released checkpoints."""

from __future__ import annotations

import re

import pytest
import torch
from released import TINY, draw_state, release_shapes

from promptreid.methods.mip.model import build_mip, mip_release
from promptreid.methods.mip.released_names import from_release


def tiny_pair(**options):
    vit = {"depth": 4, "embed_dim": 16, "num_heads": 2, "patch_size": 8, "img_size": 32}
    settings = {"image_size": (56, 32), "stride": 8, "cameras": 3, "vit": vit}
    model = build_mip(5, "prompt", False, options=mip_release(**options), **settings)
    return model, draw_state("tiny", release_shapes(**TINY))


def test_the_release_is_translated_completely():
    model, state = tiny_pair()
    ours, report = from_release({f"module.{name}": tensor for name, tensor in state.items()}, model)
    assert set(ours) == set(model.state_dict())
    model.load_state_dict(ours)
    assert set(report.used) | set(report.unused) == set(state)
    assert not set(report.used) & set(report.unused)
    families = {re.match(r"zero_token|b\w+?\.[a-z_]+|[a-z_]+", name).group() for name in report.unused}
    assert families == {
        "zero_token",
        "base.blocks",
        "base.fc",
        "base.norm",
        "base.prompt_adapters",
        "base.prompt_embed",
        "bottlenecks_ins_prompts",
        "classifiers_ins_prompts",
    }
    assert {name.split(".")[2] for name in report.unused if "blocks" in name} == {"2", "3"}
    assert "unknown name" not in report.unused.values()


def test_the_switches_decide_what_is_used():
    model, state = tiny_pair(queries="learned", iael=True, iael_pooling="mean")
    _, report = from_release(state, model)
    assert "base.prompt_embed" in report.used
    assert not [name for name in report.unused if "ins_prompts" in name]


def test_the_pooling_of_the_instance_prompts_has_names_of_its_own():
    model, _ = tiny_pair(iael=True)  # the preset pools by a query
    state = draw_state("tiny", release_shapes(**TINY, pooled=True))
    ours, report = from_release(state, model)
    assert torch.equal(ours["prompt_head.query"], state["zero_token"])
    assert torch.equal(ours["prompt_head.reader.block.mlp.fc1.weight"], state["b3.0.mlp.fc1.weight"])
    assert torch.equal(ours["prompt_head.reader.norm.bias"], state["b3.1.bias"])
    assert not [name for name in report.unused if "b3" in name or "zero" in name]
    _, report = from_release(state, tiny_pair()[0])
    assert {"b3.0.norm1.weight", "zero_token"} <= set(report.unused)
    assert "unknown name" not in report.unused.values()


def test_modality_rows_are_swapped():
    """Theirs is infrared, visible; ours visible, infrared."""
    model, state = tiny_pair()
    library = from_release(state, model)[0]["modality_prompts.library"]
    first, deep = state["base.prompt_embeddings"], state["base.deep_prompt_embeddings"]
    assert torch.equal(library[0, 0], first[1])
    assert torch.equal(library[0, 1], first[0])
    assert torch.equal(library[1, 0], deep[1, 0])


def test_strange_names_are_reported():
    model, state = tiny_pair()
    _, report = from_release({**state, "extra": torch.ones(1)}, model)
    assert report.unused["extra"] == "unknown name"


def test_missing_and_misshapen_tensors_are_named_as_in_the_release():
    model, state = tiny_pair()
    del state["base.cls_token"], state["base.deep_prompt_embeddings"], state["bottleneck_3.running_mean"]
    state["base.pos_embed"] = torch.zeros(1, 17, 16)
    state["base.prompt_embeddings"] = torch.zeros(2, 3, 16)
    with pytest.raises(ValueError) as caught:
        from_release(state, model)
    message = str(caught.value)
    for name in ("base.cls_token", "base.deep_prompt_embeddings", "bottleneck_3.running_mean"):
        assert f"{name} is missing" in message
    assert "base.pos_embed has shape (1, 17, 16), the model needs (1, 29, 16)" in message
    assert "base.prompt_embeddings has shape (2, 3, 16), the model needs (2, 16, 16)" in message


def test_too_few_deep_prompts_are_named():
    model, state = tiny_pair()
    state["base.deep_prompt_embeddings"] = state["base.deep_prompt_embeddings"][:, :0]
    with pytest.raises(ValueError, match=r"deep_prompt_embeddings has shape \(2, 0, 16, 16\), the model needs \(2, 1,"):
        from_release(state, model)


def test_cameras_can_be_put_in_another_order():
    model, state = tiny_pair()
    table = state["base.sie_embed"][:, 0]
    assert torch.equal(from_release(state, model)[0]["sie.table"], table)
    assert torch.equal(from_release(state, model, camera_order=(2, 0, 1))[0]["sie.table"], table[[2, 0, 1]])


def test_adapters_have_their_names_too():
    model, state = tiny_pair(prompt_adapters=True)
    ours, report = from_release(state, model)
    assert torch.equal(ours["prompt_adapters.1.fc2.weight"], state["base.prompt_adapters.1.fc2.weight"])
    assert "base.prompt_adapters.2.fc1.weight" in report.unused
