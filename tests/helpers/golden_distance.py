"""Distances that anybody can regenerate: a hash of two image keys, smaller for equal identities."""

from __future__ import annotations

import numpy as np

from promptreid.evaluation import FeatureSet


def keys(images: FeatureSet) -> np.ndarray:
    """pid * 2^20 + camera (1-based) * 2^16 + frame; ``scenes`` hold the frames."""
    assert images.scenes is not None
    return (images.pids * 2**20 + (images.camids + 1) * 2**16 + images.scenes).astype(np.uint64)


def splitmix64(z: np.ndarray) -> np.ndarray:
    """The output function of the splitmix64 generator."""
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def distance(query: FeatureSet, gallery: FeatureSet, same: float, room: bool) -> np.ndarray:
    """(Q, G) float64 in [0, 1), scaled by ``same`` for equal identities.

    With ``room``, halved between cameras 3 and 2 (1-based), so that a protocol without the location rule shows.
    """
    rows = []
    gallery_keys = keys(gallery)
    for pid, camid, key in zip(query.pids, query.camids, keys(query), strict=True):
        row = (splitmix64((key << np.uint64(32)) ^ gallery_keys) >> np.uint64(11)) / 2**53
        row = np.where(gallery.pids == pid, same * row, row)
        rows.append(np.where(gallery.camids == 1, row / 2, row) if room and camid == 2 else row)
    return np.array(rows)
