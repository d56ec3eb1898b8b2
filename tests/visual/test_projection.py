"""From features to a plane."""

from __future__ import annotations

import numpy as np
import pytest

from promptreid.visual.projection import principal_components, project


def drawn(count: int = 40, people: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, 8) of a few people, and who they are."""
    rng = np.random.default_rng(0)
    pids = rng.integers(0, people, count)
    return (rng.standard_normal((count, 8)) + 5 * rng.standard_normal((people, 8))[pids]).astype(np.float32), pids


def test_principal_components_are_those_of_the_singular_value_decomposition() -> None:
    features, _ = drawn()
    centred = features - features.mean(axis=0)
    expected = centred @ np.linalg.svd(centred)[2][:3].T
    found = principal_components(features, 3)
    assert np.allclose(np.abs(found), np.abs(expected), atol=1e-4)
    assert principal_components(features, 50).shape == (40, 8)


def test_t_sne_keeps_people_together_and_is_the_same_again() -> None:
    pytest.importorskip("openTSNE")
    features, pids = drawn(24, 2)
    places = project(features, "tsne", 1)
    assert np.array_equal(places, project(features, "tsne", 1))
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + 1e9 * np.eye(24)
    assert (pids[distances.argmin(axis=1)] == pids).mean() > 0.9


@pytest.mark.slow
def test_umap_is_the_same_again() -> None:
    pytest.importorskip("umap", reason="umap-learn is not installed")
    features, _ = drawn(24, 2)
    places = project(features, "umap", 1)
    assert places.shape == (24, 2) and np.array_equal(project(features, "umap", 1), places)
