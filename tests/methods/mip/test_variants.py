from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from released import draw_state, release_shapes
from torch import Tensor, nn

from promptreid.methods.mip.model import MIP
from promptreid.methods.mip.options import mip_paper, mip_release
from promptreid.methods.mip.variants import ModalityBNNeck, PromptAdapter, PromptBank
from promptreid.models.backbones.partial_block import Context
from promptreid.models.heads import BNNeck

NAMES = Path(__file__).parent / "golden" / "mip_state_names.txt"
PIDS = torch.tensor([0, 0, 1, 1, 2, 2])

# The tiny model: D = 32, j = 16, 3 prompted blocks, 2 modalities, 7 identities, 5 features.
GENERATOR = 2 * 2 * 32 + (32 * 96 + 96) + (32 * 32 + 32) + (32 * 128 + 128) + (128 * 32 + 32) + 16 * 32
BANK = 64 * 16 * 32 + (32 * 64 + 64)
LIBRARY = 3 * 2 * 16 * 32
PROJECTION = 32 * 32 + 32
IAEL_HEAD = 32 + 7 * 32
ADAPTER = (32 * 64 + 64) + (64 * 32 + 32)

#: changes to the options -> the module with new parameters, and how many parameters more than the paper's model
VARIANTS: dict[str, tuple[dict[str, Any], str, int]] = {
    "bank": ({"generator": "bank"}, "instance_prompts", BANK - GENERATOR),
    "first layer": ({"instance_depth": 1}, "instance_prompts", -2 * IAEL_HEAD),
    "naive": ({"naive_prompts": True}, "modality_prompts", -LIBRARY // 2),
    "embedding": (
        {"modality_embedding": True, "modality_prompts": False},
        "modality_embedding",
        2 * 32 - LIBRARY - PROJECTION,
    ),
    "adapters": ({"prompt_adapters": True}, "prompt_adapters", 3 * ADAPTER),
    "modality bn": ({"modality_bn": True}, "necks", 5 * 32),
}


@pytest.fixture(params=sorted(VARIANTS))
def variant(request: pytest.FixtureRequest, tiny_mip: Callable[..., MIP]) -> tuple[MIP, str, int]:
    changes, module, more = VARIANTS[request.param]
    return tiny_mip(options=mip_paper(**changes)), module, more


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_parameter_count(variant: tuple[MIP, str, int], tiny_mip: Callable[..., MIP]) -> None:
    model, _, more = variant
    assert count(model) - count(tiny_mip()) == more


def test_it_is_trained(variant: tuple[MIP, str, int], batch: dict[str, Tensor]) -> None:
    """Two steps move every parameter of the variant; the second because adapters start as identity."""
    model, name, _ = variant
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    for _ in range(2):
        output = model(batch)
        logits = [*output["logits"], *output["prompt_logits"]]
        loss = sum(nn.functional.cross_entropy(one, PIDS) for one in logits)
        loss = loss + sum(feature.square().mean() for feature in output["features"])
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
    after = dict(model.named_parameters())
    still = [key for key in after if key.startswith(f"{name}.") and torch.equal(before[key], after[key])]
    assert still == []
    assert torch.isfinite(loss)


def test_the_fast_form_equals_the_reference(tiny_mip: Callable[..., MIP], batch: dict[str, Tensor]) -> None:
    """All variants that go together."""
    options = mip_paper(generator="bank", instance_depth=2, naive_prompts=True, prompt_adapters=True, modality_bn=True)
    fast, slow = (tiny_mip(options=options, reference=reference).eval() for reference in (False, True))
    torch.testing.assert_close(fast(batch), slow(batch), rtol=1e-4, atol=1e-5)


def test_it_can_be_exported(variant: tuple[MIP, str, int], batch: dict[str, Tensor]) -> None:
    model = variant[0].eval()
    torch.testing.assert_close(torch.export.export(model, (batch,)).module()(batch), model(batch))


def test_off_the_names_are_those_of_the_method_alone(tiny_mip: Callable[..., MIP]) -> None:
    """A checkpoint of before the variants loads, and one of after them loads there."""
    names = {re.sub(r"blocks\.\d+", "blocks.{i}", name) for name in tiny_mip().state_dict()}
    assert sorted(names) == NAMES.read_text().split()


def test_off_is_the_default(tiny_mip: Callable[..., MIP], batch: dict[str, Tensor]) -> None:
    off = mip_paper(generator="ipg", instance_depth=3, naive_prompts=False, modality_embedding=False)
    assert torch.equal(tiny_mip(options=off).eval()(batch), tiny_mip().eval()(batch))


def test_a_bank_fuses_its_entries_by_what_the_image_shows() -> None:
    bank = PromptBank(length=4, dim=16, size=5)
    patches = torch.randn(3, 9, 16)
    for sample, prompts in enumerate(bank(patches).tokens):
        mean = patches[sample].mean(0)
        weights = bank.selector((mean - mean.mean()) / (mean.var(unbiased=False) + 1e-5).sqrt()).softmax(0)
        torch.testing.assert_close(prompts, sum(w * entry for w, entry in zip(weights, bank.library, strict=True)))


def test_instance_prompts_of_the_first_layer_alone(tiny_mip: Callable[..., MIP], batch: dict[str, Tensor]) -> None:
    model = tiny_mip(options=mip_paper(instance_depth=1))
    output = model(batch)
    assert len(output["prompts"]) == len(output["prompt_logits"]) == 1
    assert len(model.modality_prompts.library) == 3
    with pytest.raises(ValueError, match="instance_depth=4 is more than the 3 prompted blocks"):
        tiny_mip(options=mip_paper(instance_depth=4))


def test_naive_prompts_do_not_see_the_modality(tiny_mip: Callable[..., MIP], batch: dict[str, Tensor]) -> None:
    model = tiny_mip(options=mip_paper(naive_prompts=True)).eval()
    assert torch.equal(model(batch), model({**batch, "modality": 1 - batch["modality"]}))


def test_the_modality_embedding_sees_it(tiny_mip: Callable[..., MIP], batch: dict[str, Tensor]) -> None:
    model = tiny_mip(options=mip_paper(modality_embedding=True, modality_prompts=False, sie="none")).eval()
    other = model({**batch, "modality": 1 - batch["modality"]})
    assert (model(batch) - other).abs().max() > 1e-4
    with torch.no_grad():
        model.modality_embedding.table.zero_()
    plain = tiny_mip(options=mip_paper(modality_prompts=False, sie="none")).eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    torch.testing.assert_close(model(batch), plain(batch))


def test_adapters_start_as_identity_and_keep_copies(tiny_mip: Callable[..., MIP], batch: dict[str, Tensor]) -> None:
    adapter = PromptAdapter(16)
    prompts = Context(torch.randn(2, 1, 16), copies=4)
    assert torch.equal(adapter(prompts).tokens, prompts.tokens)
    nn.init.ones_(adapter.fc2.bias)
    assert (adapter(prompts).copies, torch.equal(adapter(prompts).tokens, prompts.tokens + 1)) == (4, True)
    only_instance = tiny_mip(
        options=mip_paper(prompt_adapters=True, modality_prompts=False, instance_depth=2, generator="bank")
    )
    assert len(only_instance.prompt_adapters) == 2


def test_adapters_have_the_released_shapes(tiny_mip: Callable[..., MIP]) -> None:
    shapes = {name: shape for name, shape in release_shapes(dim=32).items() if ".prompt_adapters.0." in name}
    adapter = PromptAdapter(32)
    state = draw_state("a", shapes)
    own = {name.removeprefix("base.prompt_adapters.0."): value.shape for name, value in state.items()}
    assert own == {name: value.shape for name, value in adapter.state_dict().items()}


def test_each_modality_has_its_own_statistics() -> None:
    neck, modality = ModalityBNNeck(8, 2), torch.tensor([0, 1, 1, 0, 0])
    plain = [BNNeck(8), BNNeck(8)]
    features = torch.randn(5, 8) + 3 * modality[:, None]
    trained = neck(features, modality)
    for number, own in enumerate(plain):
        torch.testing.assert_close(trained[modality == number], own(features[modality == number]))
        torch.testing.assert_close(neck[number].norm.running_mean, own.norm.running_mean)
    neck.eval()
    for number, own in enumerate(plain):
        torch.testing.assert_close(
            neck(features, modality)[modality == number], own.eval()(features)[modality == number]
        )


def test_a_modality_may_be_absent_from_a_batch_but_not_alone() -> None:
    neck = ModalityBNNeck(8, 2)
    assert neck(torch.randn(3, 8), torch.ones(3, dtype=torch.long)).shape == (3, 8)
    assert not neck[0].norm.running_mean.any()
    features, modality = torch.randn(3, 8), torch.tensor([1, 0, 1])
    trained = neck(features, modality)
    pair = BNNeck(8)(features[[0, 2]])
    torch.testing.assert_close(trained[[0, 2]], pair)
    alone = neck[0].eval()(features[1:2])
    torch.testing.assert_close(trained[1:2], alone)  # one image has no variance, and counts in no statistics
    assert not neck[0].norm.running_mean.any()


def test_adapters_on_zero_queries_equal_the_reference(tiny_mip: Callable[..., MIP], batch: dict[str, Tensor]) -> None:
    """Copies of a prompt stay copies of its adapted form."""
    options = mip_release(prompt_adapters=True, iael=True, iael_pooling="flatten")
    fast, slow = (tiny_mip(options=options, reference=reference).eval() for reference in (False, True))
    for model in (fast, slow):
        torch.manual_seed(3)
        for adapter in model.prompt_adapters:
            nn.init.normal_(adapter.fc2.weight)
    torch.testing.assert_close(fast(batch), slow(batch), rtol=1e-4, atol=1e-5)
