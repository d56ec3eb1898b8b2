"""Cells, the images of one identity in one camera, and the draws from them that make a gallery."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from promptreid.evaluation.features import FeatureSet

Cells = dict[tuple[int, int], np.ndarray]
"""``(pid, camid)`` -> pool indices in the order given, sorted by identity, then camera."""


def cells_of(pool: FeatureSet, cameras: Sequence[int]) -> Cells:
    """The non-empty cells of these cameras."""
    order = np.lexsort((pool.camids, pool.pids))  # stable: inside a cell the pool's order, which is the frames'
    order = order[np.isin(pool.camids[order], cameras)]
    pids, camids = pool.pids[order], pool.camids[order]
    changes = np.flatnonzero((np.diff(pids) != 0) | (np.diff(camids) != 0)) + 1
    return {(int(pool.pids[c[0]]), int(pool.camids[c[0]])): c for c in np.split(order, changes) if len(c)}


def draw_by_seed(cells: Cells, shots: int, seed: int) -> np.ndarray:
    """``shots`` images of every cell, by the standard library's generator, as the AGW family of codes draws.

    One stream runs through all cells, so a cell more or less changes all later picks. With one shot this is the
    ``random.choice`` of the AGW code, with more the ``random.sample`` of CM-NAS. A smaller cell is taken whole.

    Returns:
        pool indices, identity by identity.
    """
    stream = random.Random(seed)
    picks = [cell[stream.sample(range(len(cell)), min(shots, len(cell)))] for cell in cells.values()]
    return np.concatenate(picks) if picks else np.empty(0, dtype=np.int64)
