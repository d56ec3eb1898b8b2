from __future__ import annotations

import math

import pytest
import torch

from promptreid.losses.distance import check_batch, pairwise_euclidean, zero_of


def test_distances_against_loops():
    features = torch.randn(5, 3, dtype=torch.double)
    expected = [[math.dist(a, b) for b in features.tolist()] for a in features.tolist()]
    torch.testing.assert_close(pairwise_euclidean(features), torch.tensor(expected, dtype=torch.double))


def test_small_distances_between_large_features_survive_single_precision():
    """A matrix product would round |a|^2 + |b|^2 - 2ab = 1e-4 away beside |a|^2 = 3e6."""
    features = torch.full((30, 3), 1000.0)
    features[1, 0] += 0.0625
    assert pairwise_euclidean(features)[0, 1].item() == 0.0625


def test_the_distance_to_oneself_is_exactly_zero():
    features = torch.randn(40, 8)
    assert not pairwise_euclidean(features).diagonal().any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised(dtype):
    assert pairwise_euclidean(torch.randn(3, 2).to(dtype)).dtype == torch.float32


def test_under_autocast_distances_stay_in_single_precision():
    features = torch.randn(30, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = pairwise_euclidean(features)
    assert torch.equal(mixed, pairwise_euclidean(features))


def test_zero_can_be_differentiated():
    features = torch.randn(3, 2, requires_grad=True)
    zero_of(features).backward()
    assert features.grad.tolist() == [[0, 0]] * 3


@pytest.mark.parametrize(("features", "targets"), [((3,), (3,)), ((3, 2), (2,)), ((3, 2), (3, 1))])
def test_shapes_are_checked(features, targets):
    with pytest.raises(ValueError, match="expected features"):
        check_batch(torch.zeros(features), torch.zeros(targets))
