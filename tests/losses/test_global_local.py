from __future__ import annotations

import pytest
import torch

from promptreid.losses.global_local import GlobalLocalLoss
from promptreid.losses.identity import IdentityLoss
from promptreid.losses.msel import ModalitySharedEnhancementLoss

PIDS = torch.tensor([0, 1, 2])


def test_half_for_the_global_head_and_half_for_the_mean_of_the_local_ones():
    heads = list(torch.randn(5, 3, 4))
    single = [IdentityLoss()(head, PIDS).item() for head in heads]
    expected = 0.5 * single[0] + 0.5 * sum(single[1:]) / 4
    assert GlobalLocalLoss(IdentityLoss())(heads, PIDS).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_the_weight(weight):
    heads = list(torch.randn(2, 3, 4))
    whole, part = (IdentityLoss()(head, PIDS).item() for head in heads)
    loss = GlobalLocalLoss(IdentityLoss(), weight)(heads, PIDS)
    assert loss.item() == pytest.approx(weight * whole + (1 - weight) * part, abs=1e-6)


def test_a_global_head_alone_counts_in_full():
    head = torch.randn(3, 4)
    assert torch.equal(GlobalLocalLoss(IdentityLoss())([head], PIDS), IdentityLoss()(head, PIDS))


def test_all_labels_reach_the_criterion(golden):
    features, pids, modality = golden
    loss = GlobalLocalLoss(ModalitySharedEnhancementLoss())([features, features], pids, modality)
    torch.testing.assert_close(loss, ModalitySharedEnhancementLoss()(features, pids, modality))


def test_bad_input():
    with pytest.raises(ValueError, match="global_weight"):
        GlobalLocalLoss(IdentityLoss(), 1.5)
    with pytest.raises(ValueError, match="empty list"):
        GlobalLocalLoss(IdentityLoss())([], PIDS)
