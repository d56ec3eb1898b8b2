"""What a random ranking would score: the floor under every result."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from promptreid.evaluation.ranking.exact import Ranks


class Chance(NamedTuple):
    """Expected rank-1 and mAP, in [0, 1], of a ranking drawn uniformly from all orders of the gallery."""

    rank1: float
    mAP: float


def expected_average_precision(num_matches: np.ndarray, num_kept: np.ndarray) -> np.ndarray:
    """Expected AP of m matches among n images in random order, exactly.

    AP = 1/m sum_r x_r (x_1 + ... + x_r) / r, where x_r tells whether place r holds a match. With
    E[x_r] = m/n and E[x_r x_s] = m(m-1) / (n(n-1)), the sum over r = 1..n gives

        E[AP] = (H_n + (n - H_n) (m - 1) / (n - 1)) / n,    H_n = 1 + 1/2 + ... + 1/n.

    Args:
        num_matches: m, integers from 1 to n, any shape.
        num_kept: n, of the same shape.

    Returns:
        float64 of that shape.
    """
    n, m = np.asarray(num_kept, dtype=np.int64), np.asarray(num_matches, dtype=np.int64)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n.max(initial=0) + 1))])[n]
    return np.asarray((harmonic + (n - harmonic) * (m - 1) / np.maximum(n - 1, 1)) / n)


def chance(ranks: Ranks) -> Chance:
    """Means over the valid queries; the first place is the same for image- and identity-level CMC."""
    m, n = ranks.num_matches[ranks.valid], ranks.num_kept[ranks.valid]
    return Chance(rank1=float(np.mean(m / n)), mAP=float(np.mean(expected_average_precision(m, n))))
