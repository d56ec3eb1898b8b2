"""Means over units that are drawn with replacement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid.evaluation.statistics import bootstrap
from promptreid.evaluation.statistics.bootstrap import resampled_means

UNITS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(1, 3)), min_size=1, max_size=8)


def twin(units: list[tuple[float, float, int]], samples: int, seed: int) -> list[list[float]]:
    """Draw units and average what they bring: one bootstrap sample after the other."""
    drawn = np.random.default_rng(seed).integers(len(units), size=(samples, len(units)))
    means = []
    for sample in drawn:
        rows = sum(units[unit][2] for unit in sample)
        means.append([sum(units[unit][measure] for unit in sample) / rows for measure in (0, 1)])
    return means


@settings(max_examples=25)
@given(UNITS, st.integers(0, 9))
def test_it_is_what_drawing_units_one_by_one_gives(units: list[tuple[float, float, int]], seed: int) -> None:
    found = resampled_means(np.array(units, dtype=float), 30, seed)
    np.testing.assert_allclose(found, twin(units, 30, seed), rtol=1e-12, atol=1e-15)


def test_blocks_of_samples_change_nothing_but_the_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.column_stack([np.linspace(0, 1, 50), np.ones(50)])
    whole = resampled_means(sums, 2000, 0)
    monkeypatch.setattr(bootstrap, "_CHUNK_ELEMENTS", 50 * 7)
    in_blocks = resampled_means(sums, 2000, 0)
    assert whole.shape == in_blocks.shape == (2000, 1)
    assert in_blocks.mean() == pytest.approx(0.5, abs=0.01)
    assert in_blocks.std() == pytest.approx(sums[:, 0].std() / 50**0.5, rel=0.1)
