"""Percentile bootstrap over units, such as queries, that each bring several numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_CHUNK_ELEMENTS = 1 << 20


class Interval(NamedTuple):
    """A confidence interval, in the unit of what it is of."""

    low: float
    high: float


def mean_interval(
    values: np.ndarray, units: np.ndarray, *, samples: int = 10_000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Confidence interval of the mean of ``values``; all values of a unit are drawn together.

    Args:
        values: (N,) numbers, finite.
        units: (N,) what each belongs to, such as a query that was ranked in several trials and by several models.
        samples: bootstrap samples.
        level: confidence level between 0 and 1.
        seed: of the drawing.

    Raises:
        ValueError: no values, other lengths, or an argument out of range.
    """
    if len(values) != len(units) or not len(values):
        raise ValueError(f"values, units: {len(values)} and {len(units)} of them; expected as many, and at least one")
    if samples < 1 or not 0 < level < 1:
        raise ValueError(f"samples, level: {samples}, {level}; expected at least 1, and a number between 0 and 1")
    names, code = np.unique(units, return_inverse=True)
    columns = (np.asarray(values, dtype=float), np.ones(len(values)))
    sums = np.stack([np.bincount(code, column, len(names)) for column in columns], axis=1)
    means = resampled_means(sums, samples, seed)[:, 0]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def resampled_means(sums: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """(samples, M) means of M measures, each of as many units as there are, drawn with replacement.

    Args:
        sums: (units, M + 1): the sums of the measures in each unit and, last, its number of rows.
        samples: bootstrap samples.
        seed: of the drawing.
    """
    random = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_ELEMENTS // len(sums))
    drawn = []
    for start in range(0, samples, chunk):
        index = random.integers(len(sums), size=(min(chunk, samples - start), len(sums)))
        totals = np.stack([column[index].sum(1) for column in sums.T], axis=1)
        drawn.append(totals[:, :-1] / totals[:, -1:])
    return np.concatenate(drawn)
