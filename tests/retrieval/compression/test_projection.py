"""Principal components: those of the covariance, orthonormal, and with unit variance where they whiten."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid.retrieval.compression.projection import Projection, fit_projection


def drawn(count: int = 300, width: int = 9, seed: int = 0) -> np.ndarray:
    """Correlated, and far from the origin."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)).astype(
        np.float32
    )


def projected(projection: Projection, vectors: np.ndarray) -> np.ndarray:
    return projection.apply(vectors, np.ones(len(vectors)))


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), dim=st.integers(1, 9))
def test_the_axes_are_those_of_the_covariance(seed: int, dim: int) -> None:
    vectors = drawn(seed=seed)
    found = fit_projection(vectors, dim, False)
    plain = vectors.astype(np.float64)
    covariance = sum(np.outer(row, row) for row in plain - plain.mean(0)) / (len(plain) - 1)
    variances, axes = np.linalg.eigh(covariance)
    order = np.argsort(-variances)[:dim]
    np.testing.assert_allclose(found.mean, plain.mean(0), rtol=1e-5, atol=1e-6)
    for number, column in enumerate(order):
        assert abs(found.axes[:, number] @ axes[:, column]) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(projected(found, vectors).var(0, ddof=1), variances[order], rtol=1e-4)
    np.testing.assert_allclose(found.axes.T @ found.axes, np.eye(dim), atol=1e-5)


def test_all_directions_keep_all_distances() -> None:
    vectors = drawn()
    found = projected(fit_projection(vectors, 9, False), vectors)
    for left, right in ((0, 1), (5, 200)):
        expected = np.linalg.norm(vectors[left].astype(np.float64) - vectors[right])
        assert np.linalg.norm(found[left] - found[right]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dim", [1, 4, 9])
def test_whitened_vectors_have_unit_covariance(dim: int) -> None:
    vectors = drawn()
    found = projected(fit_projection(vectors, dim, True), vectors)
    np.testing.assert_allclose(np.cov(found.T).reshape(dim, dim), np.eye(dim), atol=1e-3)


def test_twice_the_vector_gives_twice_the_outcome_and_zero_gives_zero() -> None:
    vectors = drawn()
    found = fit_projection(vectors, 4, True)
    once = projected(found, vectors)
    np.testing.assert_allclose(found.apply(2 * vectors, np.full(300, 2.0)), 2 * once, rtol=1e-5, atol=1e-5)
    assert not found.apply(np.zeros((2, 9)), np.zeros(2)).any()


def test_fitting_is_repeatable() -> None:
    first, second = (fit_projection(drawn(), 5, True) for _ in range(2))
    np.testing.assert_array_equal(first.axes, second.axes)
    assert (np.take_along_axis(first.axes, np.abs(first.axes).argmax(0)[None], 0) > 0).all()


@pytest.mark.parametrize(
    ("vectors", "dim", "whiten", "message"),
    [
        (drawn(), 10, False, "10 numbers of 9"),
        (drawn(5), 5, False, "5 vectors vary in at most 4"),
        (drawn(1), 1, False, "1 vectors vary in at most 0"),
        (np.repeat(drawn(40, 3), 2, axis=1), 4, True, "vary in 3"),
        (np.ones((20, 3), np.float32), 1, True, "vary in 0"),
    ],
)
def test_directions_that_are_not_there_are_refused(vectors: np.ndarray, dim: int, whiten: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_projection(vectors, dim, whiten)
