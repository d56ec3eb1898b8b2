from __future__ import annotations

import pytest
import torch

from promptreid.losses.identity_triplet import IdentityTripletLoss
from promptreid.losses.msel import ModalitySharedEnhancementLoss
from promptreid.losses.registry import LOSSES
from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.methods.mip.loss import MIPLoss


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_name_builds_and_runs(name):
    loss = LOSSES[name]()
    tensor, pids, modality = torch.randn(4, 3), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    if isinstance(loss, MIPLoss):
        output = {"logits": [tensor], "features": [tensor], "prompt_logits": [tensor], "modality": modality}
        value = loss(output, pids)[0]
    elif isinstance(loss, DMPTLoss):
        present = torch.ones(4, 1, dtype=torch.bool)
        output = {"logits": [tensor], "features": [tensor], "present": present}
        value = loss({**output, "alignment_logits": tensor, "modality": modality}, pids)[0]
    elif isinstance(loss, IdentityTripletLoss):
        value = loss({"logits": [tensor], "features": [tensor]}, pids)[0]
    elif isinstance(loss, ModalitySharedEnhancementLoss):
        value = loss(tensor, pids, modality)
    else:
        value = loss([tensor] if name == "iael" else tensor, pids)
    assert value.ndim == 0
    assert torch.isfinite(value)


def test_classes_document_themselves():
    assert all("Examples:" in loss.__doc__ for loss in LOSSES.values())
