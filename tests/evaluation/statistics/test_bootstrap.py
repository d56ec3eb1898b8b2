"""Intervals of a mean, over units that are drawn with replacement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid.evaluation.statistics.bootstrap import mean_interval


def twin(values: list[float], units: list[int], samples: int, level: float, seed: int) -> list[float]:
    """Draw units, collect their values, average: one bootstrap sample after the other."""
    names = sorted(set(units))
    drawn = np.random.default_rng(seed).integers(len(names), size=(samples, len(names)))
    means = []
    for sample in drawn:
        found = [value for unit in sample for value, own in zip(values, units, strict=True) if own == names[unit]]
        means.append(sum(found) / len(found))
    return [float(np.quantile(means, quantile)) for quantile in ((1 - level) / 2, (1 + level) / 2)]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4)), min_size=1, max_size=12),
    st.integers(0, 9),
    st.sampled_from([0.5, 0.9]),
)
def test_it_is_what_drawing_units_one_by_one_gives(rows: list[tuple[float, int]], seed: int, level: float) -> None:
    values, units = (list(column) for column in zip(*rows, strict=True))
    found = mean_interval(np.array(values), np.array(units), samples=30, level=level, seed=seed)
    assert found == pytest.approx(twin(values, units, 30, level, seed), abs=1e-12)


def test_it_contains_the_mean_and_has_the_width_of_the_normal_approximation() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    low, high = mean_interval(values, np.arange(400))
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)


def test_what_belongs_to_one_unit_counts_as_one_observation() -> None:
    values, units = np.random.default_rng(1).random(50), np.arange(50)
    once = mean_interval(values, units)
    assert mean_interval(np.tile(values, 3), np.tile(units, 3)) == pytest.approx(once, abs=1e-12)
    narrower = mean_interval(np.tile(values, 3), np.arange(150))
    assert narrower.high - narrower.low < 0.7 * (once.high - once.low)


@pytest.mark.parametrize(
    ("values", "units", "changes", "message"),
    [
        ([], [], {}, "at least one"),
        ([0.1, 0.2], [1], {}, "2 and 1 of them"),
        ([0.1], [1], {"samples": 0}, "samples, level: 0"),
        ([0.1], [1], {"level": 1.0}, "between 0 and 1"),
    ],
)
def test_what_is_refused(values: list[float], units: list[int], changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mean_interval(np.array(values), np.array(units), **changes)
