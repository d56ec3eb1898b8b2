from __future__ import annotations

import math
from statistics import mean

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid.losses.msel import ModalitySharedEnhancementLoss


def slow_msel(features, pids, modality):
    per_modality = {}
    for a in range(len(pids)):
        intra, cross = [], []
        for i in range(len(pids)):
            if i != a and pids[i] == pids[a]:
                (intra if modality[i] == modality[a] else cross).append(math.dist(features[a], features[i]))
        if intra and cross:
            per_modality.setdefault(modality[a], []).append((mean(cross) - mean(intra)) ** 2)
    return mean(mean(gaps) for gaps in per_modality.values()) if per_modality else 0.0


def test_golden_values_of_the_released_code(golden):
    features, pids, modality = golden
    loss = ModalitySharedEnhancementLoss()(features, pids, modality)
    (gradient,) = torch.autograd.grad(loss, features)
    assert loss.item() == pytest.approx(0.35384357176708053, abs=1e-8)
    assert gradient.norm().item() == pytest.approx(0.3251414046625673, abs=1e-8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=14))
def test_against_loops_for_any_batch_of_three_modalities(labels):
    pids, modality = (list(column) for column in zip(*labels, strict=True))
    features = torch.randn(len(pids), 4, dtype=torch.double, generator=torch.Generator().manual_seed(len(pids)))
    loss = ModalitySharedEnhancementLoss()(features, torch.tensor(pids), torch.tensor(modality))
    assert loss.item() == pytest.approx(slow_msel(features.tolist(), pids, modality), abs=1e-10)


@pytest.mark.parametrize("modality", [[0, 0, 0, 0], [0, 1, 0, 1]], ids=["no cross pair", "no pair within"])
def test_nothing_to_compare_is_a_zero_that_can_be_differentiated(modality):
    features = torch.randn(4, 3, requires_grad=True)
    loss = ModalitySharedEnhancementLoss()(features, torch.tensor([0, 0, 1, 1]), torch.tensor(modality))
    loss.backward()
    assert loss.item() == 0
    assert not features.grad.any()


def test_names_of_modalities_do_not_matter(golden):
    features, pids, modality = golden
    loss = ModalitySharedEnhancementLoss()
    torch.testing.assert_close(loss(features, pids, modality), loss(features, pids, 5 - modality))


def test_gradient():
    features = torch.randn(8, 3, dtype=torch.double, requires_grad=True, generator=torch.Generator().manual_seed(0))
    pids, modality = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]), torch.tensor([0, 0, 1, 1] * 2)
    assert torch.autograd.gradcheck(lambda x: ModalitySharedEnhancementLoss()(x, pids, modality), features)


def test_bad_input():
    with pytest.raises(ValueError, match="expected features"):
        ModalitySharedEnhancementLoss()(torch.zeros(4, 2), torch.zeros(4), torch.zeros(4, 1))
