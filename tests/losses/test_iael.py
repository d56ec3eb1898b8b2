from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from promptreid.losses.iael import InstanceAwareEnhancementLoss


def test_it_is_the_mean_over_layers():
    layers, pids = torch.randn(10, 6, 5), torch.tensor([0, 1, 2, 3, 4, 0])
    expected = sum(F.cross_entropy(layer, pids).item() for layer in layers) / 10
    assert InstanceAwareEnhancementLoss()(list(layers), pids).item() == pytest.approx(expected, abs=1e-6)


def test_undecided_prompts_cost_log_of_the_classes():
    loss = InstanceAwareEnhancementLoss()([torch.zeros(2, 8)] * 3, torch.tensor([0, 7]))
    torch.testing.assert_close(loss, torch.tensor(8.0).log())


def test_gradient():
    layers = torch.randn(3, 2, 4, dtype=torch.double, requires_grad=True)
    pids = torch.tensor([1, 3])
    assert torch.autograd.gradcheck(lambda x: InstanceAwareEnhancementLoss()(list(x), pids), layers)


def test_no_layers_is_an_error_that_says_what_to_do():
    with pytest.raises(ValueError, match="iael=True"):
        InstanceAwareEnhancementLoss()([], torch.tensor([0]))
