"""What the images of a sample tell each other inside a block."""

from __future__ import annotations

import copy

import pytest
import torch
from dmpt_models import awake, parts, tiny_dmpt, triples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from promptreid.methods.dmpt.exchange import ExchangeAdapter, shares_of_others
from promptreid.models.present_images import Slots

DIM, WIDTH, TOKENS = 6, 3, 4
flags = st.lists(st.lists(st.booleans(), min_size=3, max_size=3).filter(any), min_size=1, max_size=4)


def slots_for(present: torch.Tensor) -> Slots:
    flat = present.flatten()
    nothing = torch.zeros(int(flat.sum()))
    return Slots(nothing, nothing.long(), nothing.long(), present, None if flat.all() else flat.nonzero().squeeze(1))


def exchange() -> ExchangeAdapter:
    torch.manual_seed(0)
    module = ExchangeAdapter(DIM, WIDTH).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def slow_twin(module: ExchangeAdapter, tokens: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """Image by image and place by place, one other image after the other."""
    images = [(sample, slot) for sample, row in enumerate(present.tolist()) for slot, there in enumerate(row) if there]
    result = torch.zeros_like(tokens)
    for number, (sample, slot) in enumerate(images):
        others = [at for at, (theirs, other) in enumerate(images) if theirs == sample and other != slot]
        for place in range(tokens.shape[1]):
            for other in others:
                hidden = nn.functional.gelu(module.down.weight @ tokens[other, place] + module.down.bias)
                result[number, place] += module.up.weight @ hidden / len(others)
    return result


@settings(max_examples=25, deadline=None)
@given(flags)
@torch.no_grad()
def test_it_is_its_slow_twin_whatever_is_missing(rows: list[list[bool]]) -> None:
    present = torch.tensor(rows)
    module, tokens = exchange(), torch.randn(int(present.sum()), TOKENS, DIM, dtype=torch.double)
    told = module(tokens, slots_for(present))
    assert torch.allclose(told, slow_twin(module, tokens, present), atol=1e-12)
    alone = (present.sum(dim=1) == 1)[present.nonzero()[:, 0]]
    assert not told[alone].any(), "exactly nothing"


def test_gradients_with_missing_images() -> None:
    present = torch.tensor([[True, True, False], [False, False, True]])
    module, tokens = exchange(), torch.randn(3, 2, DIM, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: module(given, slots_for(present)), (tokens,))
    assert torch.autograd.gradcheck(lambda *_: module(tokens.detach(), slots_for(present)), list(module.parameters()))
    module(tokens, slots_for(present)).square().sum().backward()
    assert not tokens.grad[2].any(), "who is alone tells nobody"


def test_shares() -> None:
    present = torch.tensor([[True, True, True], [True, False, True], [False, True, False]])
    expected = [[[0, .5, .5], [.5, 0, .5], [.5, .5, 0]], [[0, 0, 1], [.5, 0, .5], [1, 0, 0]],
                [[0, 1, 0], [0, 0, 0], [0, 1, 0]]]  # fmt: skip
    assert shares_of_others(present).tolist() == expected


def test_parameters_and_start() -> None:
    module = ExchangeAdapter(DIM, WIDTH)
    assert sum(value.numel() for value in module.parameters()) == 2 * DIM * WIDTH + WIDTH
    assert not module(torch.randn(3, TOKENS, DIM), slots_for(torch.ones(1, 3, dtype=torch.bool))).any()


@pytest.mark.parametrize("bind", [True, False])
@torch.no_grad()
def test_a_model_tells_what_the_others_show_and_nothing_of_the_missing(bind: bool) -> None:
    model, batch = awake(tiny_dmpt(exchange=4, bind=bind, after_bn=True)), triples()
    batch["present"][0, 1] = batch["present"][2, 0] = batch["present"][2, 2] = False
    other = copy.deepcopy(batch)
    other["images"][~batch["present"]] = torch.nan
    assert torch.equal(parts(model, other), parts(model, batch)), "a missing image gives nothing"
    silent = copy.deepcopy(model)
    silent.exchange = None
    same = [torch.equal(*pair) for pair in zip(parts(silent, batch), parts(model, batch), strict=True)]
    assert same == [False, False, True, False], "who is alone is told nothing, bit by bit"
    other = copy.deepcopy(batch)
    other["images"][3, 0] += 1
    changed = (parts(model, other) - parts(model, batch)).abs().amax(dim=-1) > 1e-5
    assert changed.tolist() == [[False] * 3] * 3 + [[True] * 3], "and one that is there tells its sample alone"


def test_its_parts_are_not_the_modalities_own() -> None:
    assert tiny_dmpt(exchange=4, bind=False).modality_slices(3) is None
    assert tiny_dmpt(adapter=4, lora=2, bind=False).modality_slices(3) is not None


@pytest.mark.parametrize(("option", "said"), [({"exchange": 4}, "exchange=4"), ({"fusion": True}, "fusion=True")])
def test_single_images_are_refused(option: dict[str, object], said: str) -> None:
    off = "0" if "exchange" in option else "False"
    with pytest.raises(
        ValueError, match=rf"dmpt\.{said} .*images_per_sample=1\); set dmpt\.{next(iter(option))} {off}"
    ):
        tiny_dmpt(images_per_sample=1, **option)
