"""The bottleneck beside a block's MLP."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from promptreid.methods.dmpt.adapter import Adapter

DIM, WIDTH = 6, 3
MODALITY = torch.tensor([0, 2, 1, 2])


def adapter(sets: int, scale: float = 0.5) -> Adapter:
    torch.manual_seed(0)
    module = Adapter(DIM, WIDTH, sets, scale).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def slow_twin(module: Adapter, tokens: torch.Tensor, modality: torch.Tensor) -> torch.Tensor:
    """Token by token and hidden unit by hidden unit, with the weights of the image's own set."""
    result = torch.zeros_like(tokens)
    for image, kind in enumerate(modality.tolist()):
        chosen = kind if module.sets > 1 else 0
        for place, token in enumerate(tokens[image]):
            total = module.offset[chosen].clone()
            for unit in range(chosen * WIDTH, (chosen + 1) * WIDTH):
                drive = module.down.weight[unit] @ token + module.down.bias[unit]
                total = total + nn.functional.gelu(drive) * module.up.weight[:, unit]
            result[image, place] = module.scale * total
    return result


@pytest.mark.parametrize("sets", [1, 3])
@torch.no_grad()
def test_it_is_its_slow_twin(sets: int) -> None:
    module, tokens = adapter(sets), torch.randn(4, 5, DIM, dtype=torch.double)
    assert torch.allclose(module(tokens, MODALITY), slow_twin(module, tokens, MODALITY), atol=1e-12)


@pytest.mark.parametrize("sets", [1, 3])
def test_gradients(sets: int) -> None:
    module, tokens = adapter(sets), torch.randn(4, 2, DIM, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: module(given, MODALITY), (tokens,))
    weights = list(module.parameters())
    assert torch.autograd.gradcheck(lambda *_: module(tokens.detach(), MODALITY), weights)


def test_a_modality_trains_its_own_weights_and_the_others_get_zeros() -> None:
    """Zeros, and not nothing: processes that see other modalities wait for each other's gradients."""
    module, tokens = adapter(3), torch.randn(2, 5, DIM, dtype=torch.double)
    module(tokens, torch.tensor([1, 1])).square().sum().backward()
    for values in (module.down.weight.grad, module.down.bias.grad, module.up.weight.grad.T):
        of = values.reshape(3, -1).abs().amax(dim=1)
        assert of[1] > 0 and of[0] == of[2] == 0
    assert (module.offset.grad.abs().amax(dim=1) > 0).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("sets", "count"), [(1, 2 * DIM * WIDTH + WIDTH + DIM), (3, 3 * (2 * DIM * WIDTH + WIDTH + DIM))]
)
def test_parameters(sets: int, count: int) -> None:
    assert sum(value.numel() for value in Adapter(DIM, WIDTH, sets).parameters()) == count


@torch.no_grad()
def test_it_starts_with_nothing_and_sets_of_the_spread_of_one() -> None:
    torch.manual_seed(0)
    module = Adapter(256, 64, 3)
    assert torch.equal(module(torch.randn(4, 5, 256), MODALITY), torch.zeros(4, 5, 256))
    for part in module.down.weight.chunk(3):
        assert part.std().item() == pytest.approx((2 / (256 + 64)) ** 0.5, rel=0.05)
