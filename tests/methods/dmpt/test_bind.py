from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from promptreid.methods.dmpt.bind import BindAttention, PromptIBind
from promptreid.models.present_images import Slots

DIM, HEADS, BIND, SEMANTIC = 8, 2, 3, 4


def slots_for(present: torch.Tensor) -> Slots:
    flat = present.flatten()
    count = int(flat.sum())
    places = None if bool(flat.all()) else flat.nonzero().squeeze(1)
    nothing = torch.zeros(count)
    return Slots(nothing, nothing.long(), nothing.long(), present, places)


def attention(seed: int = 0) -> BindAttention:
    torch.manual_seed(seed)
    module = BindAttention(DIM, HEADS).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def slow_twin(module: BindAttention, prompts, sources, present):
    """B2 and B3 as loops over images, other modalities, heads and prompts."""
    images = [(sample, slot) for sample, row in enumerate(present.tolist()) for slot, there in enumerate(row) if there]
    size, results = DIM // HEADS, []
    for sample, slot in images:
        others = [sources[number] for number, (s, o) in enumerate(images) if s == sample and o != slot]
        bound = []
        for prompt in prompts:
            if not others:
                bound.append(prompt)
                continue
            query = module.query(module.norm_prompts(prompt))
            read = [module.norm_sources(token) for other in others for token in other]
            mixed = []
            for head in range(HEADS):
                part = slice(head * size, (head + 1) * size)
                scores = torch.stack([query[part] @ module.key(token)[part] / math.sqrt(size) for token in read])
                weights = scores.exp() / scores.exp().sum()
                mixed.append(sum(w * module.value(token)[part] for w, token in zip(weights, read, strict=True)))
            bound.append(prompt + module.output(torch.cat(mixed)))
        results.append(torch.stack(bound))
    return torch.stack(results)


flags = st.lists(st.lists(st.booleans(), min_size=3, max_size=3).filter(any), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None)
@given(flags)
@torch.no_grad()
def test_it_is_the_slow_twin_whatever_is_missing(rows):
    present = torch.tensor(rows)
    prompts = torch.randn(BIND, DIM, dtype=torch.double)
    sources = torch.randn(int(present.sum()), SEMANTIC, DIM, dtype=torch.double)
    module = attention()
    fast = module(prompts, sources, slots_for(present))
    assert torch.allclose(fast, slow_twin(module, prompts, sources, present), atol=1e-10)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@torch.no_grad()
def test_any_number_of_modalities(count):
    present = torch.ones(2, count, dtype=torch.bool)
    prompts = torch.randn(BIND, DIM, dtype=torch.double)
    sources = torch.randn(2 * count, SEMANTIC, DIM, dtype=torch.double)
    module = attention()
    expected = slow_twin(module, prompts, sources, present)
    assert torch.allclose(module(prompts, sources, slots_for(present)), expected, atol=1e-10)


def test_gradients_with_missing_images():
    present = torch.tensor([[True, True, False], [False, False, True]])
    prompts = torch.randn(BIND, DIM, dtype=torch.double, requires_grad=True)
    sources = torch.randn(3, SEMANTIC, DIM, dtype=torch.double, requires_grad=True)
    module = attention()
    assert torch.autograd.gradcheck(lambda p, s: module(p, s, slots_for(present)), (prompts, sources))
    module(prompts, sources, slots_for(present)).square().sum().backward()
    assert sources.grad[2].abs().max() == 0, "who is alone tells nobody"
    assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters())


@torch.no_grad()
def test_who_is_alone_gets_the_prompts_exactly():
    present = torch.tensor([[True, False, False], [True, True, False]])
    prompts, sources = torch.randn(BIND, DIM, dtype=torch.double), torch.randn(3, SEMANTIC, DIM, dtype=torch.double)
    bound = attention()(prompts, sources, slots_for(present))
    assert torch.equal(bound[0], prompts)
    assert not torch.allclose(bound[1], prompts)


@torch.no_grad()
def test_complete_samples_are_the_same_among_incomplete_ones():
    prompts, sources = torch.randn(BIND, DIM, dtype=torch.double), torch.randn(5, SEMANTIC, DIM, dtype=torch.double)
    module = attention()
    mixed = module(prompts, sources, slots_for(torch.tensor([[True] * 3, [True, False, True]])))
    alone = module(prompts, sources[:3], slots_for(torch.ones(1, 3, dtype=torch.bool)))
    assert torch.allclose(mixed[:3], alone)


@torch.no_grad()
def test_it_starts_without_exchange():
    torch.manual_seed(0)
    bind = PromptIBind((4, 8), BIND, DIM, HEADS)
    for layer in (4, 8):
        bound = bind(layer, torch.randn(6, SEMANTIC, DIM), slots_for(torch.ones(2, 3, dtype=torch.bool)))
        assert torch.equal(bound, bind.prompts.expand(6, -1, -1))
    assert bind.prompts.std().item() == pytest.approx(0.02, rel=0.5)


def test_the_layers_have_attentions_of_their_own():
    bind = PromptIBind((4, 8), BIND, DIM, HEADS)
    nn.init.ones_(bind.attentions[1].output.bias)
    slots, sources = slots_for(torch.ones(1, 3, dtype=torch.bool)), torch.randn(3, SEMANTIC, DIM)
    assert torch.equal(bind(8, sources, slots), bind(4, sources, slots) + 1)


def test_sources_of_low_precision():
    bind = PromptIBind((1,), BIND, DIM, HEADS)
    slots = slots_for(torch.ones(1, 3, dtype=torch.bool))
    assert bind(1, torch.randn(3, SEMANTIC, DIM, dtype=torch.bfloat16), slots).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert bind(1, torch.randn(3, SEMANTIC, DIM), slots).dtype == torch.float32


def test_widths_that_do_not_split():
    with pytest.raises(ValueError, match="width of 8 does not split into 3 heads"):
        BindAttention(8, 3)
