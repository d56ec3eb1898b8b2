"""Distances against torchreid's, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from promptreid import host
from promptreid.evaluation.ranking.distances import METRICS, FeatureDistances, GivenDistances, compute_distances


def features(rows: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, 24, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("metric", METRICS)
def test_equals_torchreid(metric: str) -> None:
    query, gallery = features(7, 0), features(11, 1)
    expected = host.metrics.compute_distance_matrix(query, gallery, metric)
    torch.testing.assert_close(compute_distances(query, gallery, metric), expected, rtol=1e-5, atol=1e-5)


def test_euclidean_is_squared() -> None:
    assert compute_distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])).tolist() == [[25.0]]


@pytest.mark.parametrize("metric", METRICS)
def test_rows_columns_and_transpose_are_parts_of_the_matrix(metric: str) -> None:
    query, gallery, columns = features(7, 0), features(11, 1), np.array([8, 0, 3])
    whole = compute_distances(query, gallery, metric)
    for distances in (FeatureDistances(query, gallery, metric), GivenDistances(whole)):
        part = distances.columns(columns)
        assert distances.shape == (7, 11) and part.shape == (7, 3) and part.transposed().shape == (3, 7)
        torch.testing.assert_close(part.rows(torch.tensor([5, 1])), whole[[5, 1]][:, columns])
        torch.testing.assert_close(part.transposed().rows(torch.tensor([2])), whole[:, [3]].T)


def test_rows_of_a_given_matrix_are_copies() -> None:
    matrix = torch.zeros(2, 3)
    GivenDistances(matrix).rows(torch.tensor([0, 1])).fill_(7)
    assert matrix.sum() == 0


def test_autocast_and_reduced_precision_do_not_reach_the_products() -> None:
    query, gallery = features(40, 0), features(60, 1)
    expected = compute_distances(query, gallery)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = compute_distances(query, gallery)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("query", "gallery", "metric", "message"),
    [
        (torch.ones(2, 3), torch.ones(2, 4), "euclidean", "query: 3 features per image, gallery: 4"),
        (torch.ones(2, 3), torch.full((2, 3), torch.nan), "cosine", "gallery: the features hold NaN"),
        (torch.full((2, 3), torch.inf), torch.ones(2, 3), "cosine", "query: the features hold NaN"),
        (torch.full((2, 3), 1e19), torch.ones(2, 3), "euclidean", "query: features so large"),
        (torch.ones(2, 3), torch.ones(2, 3), "manhattan", "metric: 'manhattan' is not one of"),
        (
            torch.ones(2, 3, dtype=torch.int64),
            torch.ones(2, 3),
            "euclidean",
            "query: expected an N x D matrix of floats",
        ),
        (torch.ones(3), torch.ones(2, 3), "euclidean", "query: expected an N x D matrix"),
    ],
)
def test_refuses(query: torch.Tensor, gallery: torch.Tensor, metric: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compute_distances(query, gallery, metric)
