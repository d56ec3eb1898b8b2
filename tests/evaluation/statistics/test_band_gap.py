"""Distances of pairs of images by identity and band, against all pairs one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from promptreid.evaluation.statistics import band_gap
from promptreid.evaluation.statistics.band_gap import KINDS, pair_distances


def drawn(count: int = 60, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    bands = rng.integers(0, 2, count)
    return (
        rng.standard_normal((count, 5)).astype(np.float32),
        rng.integers(0, 6, count),
        2 * rng.integers(0, 2, count) + bands,
        np.array(["visible", "infrared"])[bands],
    )


def twin(features: np.ndarray, pids: np.ndarray, cameras: np.ndarray, bands: np.ndarray) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for one in range(len(pids)):
        for other in range(one):
            same = pids[one] == pids[other]
            if same and cameras[one] == cameras[other]:
                continue
            kind = KINDS[2 * int(not same) + int(bands[one] != bands[other])]
            found[kind].append(math.dist(features[one].tolist(), features[other].tolist()))
    return found


def test_few_images_are_compared_each_with_each() -> None:
    images, expected = drawn(), twin(*drawn())
    found = pair_distances(*images)
    for kind in KINDS:
        assert sorted(found.values[kind]) == pytest.approx(sorted(expected[kind]), rel=1e-6)
        assert found.totals[kind] == len(expected[kind])
    within, across, between = (float(np.mean(expected[kind])) for kind in KINDS[:3])
    assert found.gap == pytest.approx((across - within) / between) and not found.same_camera


def test_many_are_drawn_at_random_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(band_gap, "_FEW", 10)
    monkeypatch.setattr(band_gap, "_ENTRIES", 16)
    images, expected = drawn(120, 1), twin(*drawn(120, 1))
    found = pair_distances(*images, limit=400, seed=3)
    for kind in KINDS:
        assert found.totals[kind] == len(expected[kind])
        assert len(found.values[kind]) <= min(400, found.totals[kind])
        assert len(found.values[kind]) > 0.8 * min(400, found.totals[kind])
        known = np.array(expected[kind])
        assert all(np.abs(known - value).min() < 1e-5 for value in found.values[kind])
        assert found.means[kind] == pytest.approx(known.mean(), abs=5 * known.std() / 20)
    again = pair_distances(*images, limit=400, seed=3)
    assert all(np.array_equal(found.values[kind], again.values[kind]) for kind in KINDS)


def test_a_band_that_moves_images_as_far_as_identities_has_gap_one() -> None:
    features = np.array([[0, 0], [0, 0], [0, 1], [0, 1], [1, 0], [1, 0], [1, 1], [1, 1]], dtype=float)
    pids, bands = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array(["v", "v", "i", "i"] * 2)
    assert pair_distances(features, pids, np.arange(8), bands).gap == pytest.approx(1.0)


def test_one_band_one_identity_and_one_camera() -> None:
    features, pids, cameras, bands = drawn()
    one_band = pair_distances(features, pids, cameras, np.full(60, "visible"))
    assert math.isnan(one_band.gap) and not len(one_band.values[KINDS[1]]) and not len(one_band.values[KINDS[3]])
    one_identity = pair_distances(features, np.zeros(60, dtype=int), cameras, bands)
    assert math.isnan(one_identity.gap) and not len(one_identity.values[KINDS[2]])
    one_camera = pair_distances(features, pids, np.zeros(60, dtype=int), np.full(60, "visible"))
    assert one_camera.same_camera and len(one_camera.values[KINDS[0]])


def test_nan_is_left_out_and_cosines_ignore_the_length() -> None:
    features, pids, cameras, bands = drawn()
    broken = features.copy()
    broken[0] = np.nan
    found, kept = pair_distances(broken, pids, cameras, bands), pair_distances(*(x[1:] for x in drawn()))
    assert found.means == pytest.approx(kept.means)
    scaled = features * np.arange(1, 61)[:, None]
    one, other = (pair_distances(each, pids, cameras, bands, "cosine").means for each in (features, scaled))
    assert one == pytest.approx(other)


def test_bad_input() -> None:
    features, pids, cameras, bands = drawn()
    with pytest.raises(ValueError, match="'manhattan' is neither euclidean nor cosine"):
        pair_distances(features, pids, cameras, bands, "manhattan")
    with pytest.raises(ValueError, match="cameras: 59 entries"):
        pair_distances(features, pids, cameras[1:], bands)
