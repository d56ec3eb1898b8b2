"""Histograms of distances."""

from __future__ import annotations

import numpy as np
import pytest

from promptreid.evaluation.statistics.band_gap import pair_distances
from promptreid.visual.distances import distances_figure


def test_distances_say_the_gap_or_that_there_is_none() -> None:
    rng = np.random.default_rng(0)
    features, pids, cameras = rng.standard_normal((30, 4)), rng.integers(0, 4, 30), np.arange(30)
    bands = np.array(["visible", "infrared"])[np.arange(30) % 2]
    pairs = pair_distances(features, pids, cameras, bands)
    axes = distances_figure(pairs, title="run").axes[0]
    assert f"gap between the bands {pairs.gap:+.3f}" in axes.get_title()
    assert len(axes.patches) == 4
    density, edges, _ = axes.patches[0].get_data()
    assert float((density * np.diff(edges)).sum()) == pytest.approx(1)
    one_band = distances_figure(pair_distances(features, pids, cameras, np.full(30, "visible")))
    assert "not defined" in one_band.axes[0].get_title() and len(one_band.axes[0].patches) == 2
    distances_figure(pair_distances(features, np.zeros(30, dtype=int), cameras, bands))
    with pytest.raises(ValueError, match="no pair of images"):
        distances_figure(pair_distances(features[:1], pids[:1], cameras[:1], bands[:1]))
