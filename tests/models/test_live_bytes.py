"""Bytes of tensors, moment by moment."""

from __future__ import annotations

import gc

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from promptreid.models.live_bytes import LiveBytes


def test_what_is_made_and_dropped() -> None:
    kept = torch.zeros(1000)
    with LiveBytes([kept]) as live:
        a = kept + 1  # 4000
        b = a.double()  # and 8000
        del a
        b.mul_(2)  # in place: nothing new
        c = b[:10]  # a view: nothing new
        del b
        d = c.clone()  # the view still holds its storage; 80 more
        kept.view(10, 100)  # not counted, as what it is a view of
    assert live.moments == [4000, 12000, 8000, 8000, 8080, 8080]
    del c, d


def test_a_step_of_two_layers_by_hand() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    inputs = torch.zeros(5, 4)
    with LiveBytes([*model.parameters(), inputs]) as live:
        output = model(inputs)
        forward = live.moments[-1]
        output.sum().backward()
        del output
        torch.zeros(0)
    # The ReLU's input is dropped, its output stays; the other output is the model's.
    assert forward == 4 * (5 * 8 + 5 * 2)
    gradients = 4 * (4 * 8 + 8 + 8 * 2 + 2)
    assert live.moments[-1] == gradients
    assert max(live.moments) > forward


def test_what_is_recomputed_is_seen_in_the_backward_pass() -> None:
    weight = torch.zeros(100, 100, requires_grad=True)

    def block(x: Tensor) -> Tensor:
        for _ in range(10):
            x = torch.tanh(x @ weight)
        return x

    def peaks(recompute: bool) -> tuple[int, int]:
        with LiveBytes([weight]) as live:
            x = torch.zeros(50, 100, requires_grad=True)
            y = checkpoint(block, x, use_reentrant=False) if recompute else block(x)
            torch.zeros(0)
            forward = live.moments[-1]
            y.sum().backward()
        return forward, max(live.moments)

    kept, recomputed = peaks(False), peaks(True)
    one = 4 * 50 * 100
    assert recomputed[0] == 2 * one and kept[0] == 11 * one
    assert recomputed[1] > 10 * one and kept[1] > 11 * one, "the whole block comes back in the backward pass"


def brute_force() -> int:
    """Bytes of all tensors that the garbage collector knows, each storage once."""
    found = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), Tensor):
            found[thing.untyped_storage().data_ptr()] = thing.untyped_storage().nbytes()
    return sum(found.values())


def test_it_agrees_with_the_garbage_collector() -> None:
    torch.manual_seed(0)
    gc.collect()
    before = brute_force()
    with LiveBytes() as live:
        held = [torch.randn(size) for size in (10, 100, 1000)]
        held[1] = held[1].exp()
        held.append(held[2] * 2)
        held.pop(0)
        torch.zeros(0)
    gc.collect()
    assert live.moments[-1] == brute_force() - before == 4 * (100 + 1000 + 1000)
