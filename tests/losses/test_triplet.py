from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid.losses.triplet import BatchHardTripletLoss


def slow_triplet(features, pids, margin=None):
    losses = []
    for a in range(len(pids)):
        positives = [math.dist(features[a], features[i]) for i in range(len(pids)) if pids[i] == pids[a] and i != a]
        negatives = [math.dist(features[a], features[i]) for i in range(len(pids)) if pids[i] != pids[a]]
        if positives and negatives:
            gap = max(positives) - min(negatives)
            losses.append(math.log1p(math.exp(gap)) if margin is None else max(0.0, gap + margin))
    return sum(losses) / len(losses) if losses else 0.0


def test_golden_values_of_the_released_code(golden):
    features, pids, _ = golden
    soft = BatchHardTripletLoss()(features, pids)
    (gradient,) = torch.autograd.grad(soft, features)
    assert soft.item() == pytest.approx(2.385453897910507, abs=1e-8)
    assert gradient.norm().item() == pytest.approx(0.4911904394209726, abs=1e-8)
    assert BatchHardTripletLoss(margin=0.3)(features, pids).item() == pytest.approx(2.5695070676238343, abs=1e-8)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=10), st.sampled_from([None, 0.0, 0.3]))
def test_against_loops(pids, margin):
    features = torch.randn(len(pids), 5, dtype=torch.double, generator=torch.Generator().manual_seed(len(pids)))
    loss = BatchHardTripletLoss(margin)(features, torch.tensor(pids))
    assert loss.item() == pytest.approx(slow_triplet(features.tolist(), pids, margin), abs=1e-10)


def test_order_does_not_matter():
    features, pids = torch.randn(8, 5), torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    order = torch.randperm(8)
    loss = BatchHardTripletLoss()
    torch.testing.assert_close(loss(features, pids), loss(features[order], pids[order]))


@pytest.mark.parametrize("pids", [[0, 0, 0], [0, 1, 2], [0]])
def test_no_triplet_is_a_zero_that_can_be_differentiated(pids):
    features = torch.randn(len(pids), 5, requires_grad=True)
    loss = BatchHardTripletLoss()(features, torch.tensor(pids))
    loss.backward()
    assert loss.item() == 0
    assert not features.grad.any()


@pytest.mark.parametrize("margin", [None, 0.3])
def test_gradient(margin):
    features = torch.randn(6, 4, dtype=torch.double, requires_grad=True, generator=torch.Generator().manual_seed(0))
    pids = torch.tensor([0, 0, 1, 1, 2, 2])
    assert torch.autograd.gradcheck(lambda x: BatchHardTripletLoss(margin)(x, pids), features)


def test_equal_images_have_a_finite_gradient():
    features = torch.ones(4, 3, requires_grad=True)
    BatchHardTripletLoss()(features, torch.tensor([0, 0, 1, 1])).backward()
    assert torch.isfinite(features.grad).all()


def test_half_precision_is_computed_in_single():
    features, pids = torch.randn(6, 4), torch.tensor([0, 0, 1, 1, 2, 2])
    loss = BatchHardTripletLoss()(features.bfloat16(), pids)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, BatchHardTripletLoss()(features.bfloat16().float(), pids))


def test_bad_input():
    with pytest.raises(ValueError, match="margin must be at least 0"):
        BatchHardTripletLoss(-0.1)
    with pytest.raises(ValueError, match=r"got \(4, 2\) and \(3,\)"):
        BatchHardTripletLoss()(torch.zeros(4, 2), torch.zeros(3))
