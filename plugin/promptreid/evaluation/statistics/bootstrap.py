"""Percentile bootstrap over units, such as queries, that each bring several numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_CHUNK_ELEMENTS = 1 << 20


class Interval(NamedTuple):
    """A confidence interval, in the unit of what it is of."""

    low: float
    high: float


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
