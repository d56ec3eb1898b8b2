from __future__ import annotations

import math

import pytest
import torch

from promptreid.losses.identity import IdentityLoss


def slow_cross_entropy(logits, targets, smoothing):
    total = 0.0
    for row, target in zip(logits, targets, strict=True):
        log_sum = math.log(sum(math.exp(value) for value in row))
        for column, value in enumerate(row):
            share = smoothing / len(row) + (1 - smoothing) * (column == target)
            total += share * (log_sum - value)
    return total / len(targets)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_against_loops(smoothing):
    logits, targets = torch.randn(5, 4, dtype=torch.double), [0, 3, 2, 2, 1]
    loss = IdentityLoss(smoothing)(logits, torch.tensor(targets))
    assert loss.item() == pytest.approx(slow_cross_entropy(logits.tolist(), targets, smoothing), abs=1e-12)


def test_gradient():
    logits = torch.randn(3, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: IdentityLoss()(x, torch.tensor([0, 1, 3])), logits)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_out_of_range(smoothing):
    with pytest.raises(ValueError, match="label_smoothing"):
        IdentityLoss(smoothing)
