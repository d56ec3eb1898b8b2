"""What a forward pass keeps for the backward pass."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from promptreid.models.saved_activations import kept_bytes, saved_bytes


def two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def test_each_storage_counts_once_and_weights_do_not() -> None:
    # the input, for the first weight's gradient; and the ReLU's output, for its own and for the second weight's
    assert kept_bytes(two_layers(), torch.zeros(5, 4)) == 4 * (5 * 4 + 5 * 8)


def test_it_grows_with_the_batch_and_does_not_depend_on_no_grad() -> None:
    with torch.no_grad():
        assert kept_bytes(two_layers(), torch.zeros(10, 4)) == 2 * kept_bytes(two_layers(), torch.zeros(5, 4))


def test_a_frozen_model_keeps_nothing() -> None:
    model = two_layers().requires_grad_(False)
    assert kept_bytes(model, torch.zeros(5, 4)) == 0
    model[2].requires_grad_(True)
    assert kept_bytes(model, torch.zeros(5, 4)) == 4 * 5 * 8


def test_what_the_result_does_not_depend_on_is_not_held() -> None:
    weight = torch.zeros(10, 10, requires_grad=True)

    def forward() -> torch.Tensor:
        (weight * 2).exp()  # nobody reads it
        return (weight * 3).exp()

    assert saved_bytes(forward, [weight]) == 4 * 100
    assert saved_bytes(lambda: [(weight * 2).exp(), forward()], [weight]) == 2 * 4 * 100


def test_of_what_is_recomputed_the_arguments_alone_are_held() -> None:
    weight, inputs = torch.zeros(10, 10, requires_grad=True), torch.zeros(5, 10)

    def block(x: torch.Tensor) -> torch.Tensor:
        return (x @ weight).tanh().exp()

    assert saved_bytes(lambda: block(inputs), [weight]) == 4 * 3 * 50
    assert saved_bytes(lambda: checkpoint(block, inputs, use_reentrant=False), [weight]) == 4 * 50
