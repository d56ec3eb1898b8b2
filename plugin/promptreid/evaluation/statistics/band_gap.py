"""Distances within and between identities, within and across bands, and one number for the gap between the bands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from promptreid.evaluation.features import check_length

KINDS = ("same identity, same band", "same identity, other band", "other identity, same band",
         "other identity, other band")  # fmt: skip
PAIRS = 200_000
_BLOCK = 1 << 15


@dataclass(frozen=True, eq=False)
class PairDistances:
    """Distances of pairs of images.

    Attributes:
        values: of each kind, (n,) float64; empty where there is no such pair.
        totals: how many pairs of a kind there are; more than ``values`` has where they were drawn.
        same_camera: pairs of one identity in one camera are among them, because there are no others.
    """

    values: dict[str, np.ndarray]
    totals: dict[str, int]
    same_camera: bool = False

    @property
    def means(self) -> dict[str, float]:
        """Of each kind; nan where there is no pair."""
        return {kind: float(values.mean()) if len(values) else float("nan") for kind, values in self.values.items()}

    @property
    def gap(self) -> float:
        """How much farther an identity is from itself across bands than within one, of what tells identities apart.

        ``gap = (d(same identity, other band) - d(same identity, same band)) / d(other identity, same band)``, each d a
        mean. 0: bands do not matter. 1: a change of the band moves an image as far as another identity would. nan where
        there is a single band, a single identity, or no pair of a kind.
        """
        within, across, between = (self.means[kind] for kind in KINDS[:3])
        return (across - within) / between if between else float("nan")


def pair_distances(
    features: np.ndarray,
    pids: np.ndarray,
    cameras: np.ndarray,
    bands: np.ndarray,
    metric: str = "euclidean",
    limit: int = PAIRS,
    seed: int = 0,
) -> PairDistances:
    """Distances of all pairs of images, or of as many at random of each kind.

    Pairs of one identity in one camera are left out, as most evaluators do: they are near copies. Where an identity has
    no other pairs within a band at all, they are taken after all.

    Args:
        features: (N, D); rows that are not finite are left out.
        pids, cameras: (N,) int.
        bands: (N,) anything that can be compared.
        metric: ``"euclidean"`` or ``"cosine"`` (1 minus the cosine).
        limit: pairs of each kind at most.
        seed: of the choice.

    Raises:
        ValueError: another metric, or lengths that differ.
    """
    if metric not in ("euclidean", "cosine"):
        raise ValueError(f"metric: {metric!r} is neither euclidean nor cosine")
    for name, values in (("cameras", cameras), ("bands", bands), ("features", features)):
        check_length(name, len(values), len(pids), "pids")
    good = np.isfinite(features).all(axis=1)
    features, pids, cameras, bands = features[good], pids[good], cameras[good], bands[good]
    bands = np.unique(bands, return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    found = _same_identity(pids, cameras, bands)
    same_camera = not len(found[KINDS[0]])
    if same_camera:
        found = _same_identity(pids, np.arange(len(pids)), bands)
        same_camera = bool(len(found[KINDS[0]]))
    totals = {kind: len(pairs) for kind, pairs in found.items()}
    for kind, pairs in found.items():
        if len(pairs) > limit:
            found[kind] = pairs[np.sort(rng.choice(len(pairs), limit, replace=False))]
    for kind, across in ((KINDS[2], False), (KINDS[3], True)):
        totals[kind] = _count_other(pids, bands, across)
        found[kind] = _other_identity(pids, bands, across, min(limit, totals[kind]), rng)
    distances = {kind: _distances(features, found[kind], metric) for kind in KINDS}
    return PairDistances(distances, {kind: totals[kind] for kind in KINDS}, same_camera)


def _same_identity(pids: np.ndarray, cameras: np.ndarray, bands: np.ndarray) -> dict[str, np.ndarray]:
    """All pairs (n, 2) of one identity and different cameras, within a band and across."""
    within, across = [np.empty((0, 2), dtype=np.int64)], [np.empty((0, 2), dtype=np.int64)]
    order = np.argsort(pids, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(pids[order])) + 1):
        first, second = np.triu_indices(len(rows), k=1)
        pairs = np.stack([rows[first], rows[second]], axis=1)
        pairs = pairs[cameras[pairs[:, 0]] != cameras[pairs[:, 1]]]
        same = bands[pairs[:, 0]] == bands[pairs[:, 1]]
        within.append(pairs[same])
        across.append(pairs[~same])
    return {KINDS[0]: np.concatenate(within), KINDS[1]: np.concatenate(across)}


def _count_other(pids: np.ndarray, bands: np.ndarray, across: bool) -> int:
    """How many pairs there are of different identities within a band, or across."""

    def pairs_in(labels: np.ndarray) -> int:
        counts = np.unique(labels, return_counts=True, axis=0)[1].astype(object)
        return int((counts * (counts - 1) // 2).sum())

    in_band = pairs_in(bands) - pairs_in(np.stack([bands, pids], axis=1))
    every = len(pids) * (len(pids) - 1) // 2 - pairs_in(pids)
    return every - in_band if across else in_band


def _other_identity(
    pids: np.ndarray, bands: np.ndarray, across: bool, wanted: int, rng: np.random.Generator
) -> np.ndarray:
    """Pairs (wanted, 2) of different identities: all of them where they are few, else drawn, with repetition."""
    if not wanted:
        return np.empty((0, 2), dtype=np.int64)
    if len(pids) <= 1024:
        pairs = np.stack(np.triu_indices(len(pids), k=1), axis=1)
        pairs = pairs[_other(pairs, pids, bands, across)]
        return pairs if len(pairs) <= wanted else pairs[np.sort(rng.choice(len(pairs), wanted, replace=False))]
    drawn, count = [], 0
    while count < wanted:
        pairs = rng.integers(0, len(pids), (2 * wanted, 2))
        drawn.append(pairs[_other(pairs, pids, bands, across)])
        count += len(drawn[-1])
    return np.concatenate(drawn)[:wanted]


def _other(pairs: np.ndarray, pids: np.ndarray, bands: np.ndarray, across: bool) -> np.ndarray:
    first, second = pairs.T
    return (pids[first] != pids[second]) & ((bands[first] != bands[second]) == across)


def _distances(features: np.ndarray, pairs: np.ndarray, metric: str) -> np.ndarray:
    parts = [_of_block(features, block, metric) for block in _blocks(pairs)]
    return np.concatenate(parts) if parts else np.empty(0)


def _blocks(pairs: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(pairs), _BLOCK):
        yield pairs[start : start + _BLOCK]


def _of_block(features: np.ndarray, pairs: np.ndarray, metric: str) -> np.ndarray:
    first, second = (features[column].astype(np.float64) for column in pairs.T)
    if metric == "euclidean":
        return np.linalg.norm(first - second, axis=1)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return 1 - (first * second).sum(axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny)
