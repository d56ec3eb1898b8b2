"""Blocks whose activations are recomputed in the backward pass."""

from __future__ import annotations

import torch
from dmpt_models import tiny_dmpt, triples

from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.methods.mip.loss import MIPLoss
from promptreid.models.saved_activations import kept_bytes


def assert_same_gradients_from_less(build, criterion, batch, pids):
    gradients, kept = [], []
    for wanted in (False, True):
        model = build()
        model.checkpoint_blocks = wanted
        torch.manual_seed(3)
        criterion(model(batch), pids)[0].backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        kept.append(kept_bytes(model, batch))
    for name, gradient in gradients[0].items():
        assert torch.equal(gradient, gradients[1][name]), name
    assert kept[1] < 0.75 * kept[0]


def test_a_mip_with_drop_path_keeps_its_gradients(tiny_mip, batch):
    vit = {"depth": 6}
    pids = torch.tensor([0, 0, 1, 1, 2, 2])
    assert_same_gradients_from_less(lambda: tiny_mip(drop_path=0.3, vit=vit), MIPLoss(), batch, pids)


def test_a_dmpt_keeps_its_gradients():
    batch = triples()
    batch["present"][1, 2] = False
    assert_same_gradients_from_less(tiny_dmpt, DMPTLoss(), batch, torch.tensor([0, 0, 1, 1]))
