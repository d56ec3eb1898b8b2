"""Distances within and between identities, within and across bands, and one number for the gap between the bands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from promptreid.evaluation.features import check_length

KINDS = ("same identity, same band", "same identity, other band", "other identity, same band",
         "other identity, other band")  # fmt: skip
PAIRS = 200_000
_BLOCK, _ENTRIES = 1 << 13, 1 << 22
_FEW = 1024  # images, of which all pairs are looked at
_ROUNDS = 200


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
    if not good.all():  # a copy of all features otherwise
        features, pids, cameras, bands = features[good], pids[good], cameras[good], bands[good]
    bands = np.unique(bands, return_inverse=True)[1]
    labels = _Labels(pids, cameras, bands)
    same_camera = not labels.totals[KINDS[0]]
    if same_camera:
        labels = _Labels(pids, np.arange(len(pids)), bands)
    rng = np.random.default_rng(seed)
    pairs = {**labels.same_identity(limit, rng), **labels.other_identity(limit, rng)}
    distances = {kind: _distances(features, pairs[kind], metric) for kind in KINDS}
    return PairDistances(distances, labels.totals, same_camera and bool(labels.totals[KINDS[0]]))


class _Labels:
    """Labels of N images, (N,) each, and the pairs that they make."""

    def __init__(self, pids: np.ndarray, cameras: np.ndarray, bands: np.ndarray) -> None:
        self.pids, self.cameras, self.bands = pids, cameras, bands
        identity, in_band = _pairs_in(pids), _pairs_in(pids, bands)
        one_camera, in_band_and_camera = _pairs_in(pids, cameras), _pairs_in(pids, bands, cameras)
        one_band = _pairs_in(bands)
        every = len(pids) * (len(pids) - 1) // 2
        counts = (
            in_band - in_band_and_camera,
            identity - in_band - (one_camera - in_band_and_camera),
            one_band - in_band,
            every - identity - (one_band - in_band),
        )
        self.totals = dict(zip(KINDS, counts, strict=True))

    def same_identity(self, limit: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Pairs (n, 2) of one identity and different cameras; about ``limit`` of each kind where there are more."""
        kept: dict[str, list[np.ndarray]] = {kind: [np.empty((0, 2), dtype=np.int64)] for kind in KINDS[:2]}
        shares = {kind: 1.1 * limit / max(1, self.totals[kind]) for kind in kept}
        for pairs in _pairs_within(self.pids):
            first, second = pairs.T
            allowed = self.cameras[first] != self.cameras[second]
            same = self.bands[first] == self.bands[second]
            for kind, chosen in zip(kept, (allowed & same, allowed & ~same), strict=True):
                found = pairs[chosen]
                kept[kind].append(found if shares[kind] >= 1 else found[rng.random(len(found)) < shares[kind]])
        joined = {kind: np.concatenate(parts) for kind, parts in kept.items()}
        return {kind: _at_most(pairs, limit, rng) for kind, pairs in joined.items()}

    def other_identity(self, limit: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Pairs (n, 2) of different identities: all where images are few, else drawn, with repetition."""
        if len(self.pids) > _FEW:
            return {kind: self._drawn(kind, limit, rng) for kind in KINDS[2:]}
        pairs = np.stack(np.triu_indices(len(self.pids), k=1), axis=1)
        pairs = pairs[self.pids[pairs[:, 0]] != self.pids[pairs[:, 1]]]
        same = self.bands[pairs[:, 0]] == self.bands[pairs[:, 1]]
        return {KINDS[2]: _at_most(pairs[same], limit, rng), KINDS[3]: _at_most(pairs[~same], limit, rng)}

    def _drawn(self, kind: str, limit: int, rng: np.random.Generator) -> np.ndarray:
        """Two bands in proportion to their pairs, then an image of either."""
        wanted = min(limit, self.totals[kind])
        members = [np.flatnonzero(self.bands == band) for band in np.unique(self.bands)]
        sizes = np.array([len(rows) for rows in members], dtype=np.float64)
        weights = np.diag(sizes**2) if kind == KINDS[2] else np.outer(sizes, sizes) * (1 - np.eye(len(sizes)))
        found, count, rounds = [np.empty((0, 2), dtype=np.int64)], 0, 0
        while count < wanted and rounds < _ROUNDS:
            cells = rng.choice(weights.size, 2 * wanted, p=weights.ravel() / weights.sum())
            pairs = np.empty((2 * wanted, 2), dtype=np.int64)
            for cell in np.unique(cells):
                here = np.flatnonzero(cells == cell)
                for column, band in enumerate(np.unravel_index(cell, weights.shape)):
                    pairs[here, column] = rng.choice(members[band], len(here))
            pairs = pairs[self.pids[pairs[:, 0]] != self.pids[pairs[:, 1]]]
            found.append(pairs)
            count, rounds = count + len(pairs), rounds + 1
        return np.concatenate(found)[:wanted]


def _pairs_in(*labels: np.ndarray) -> int:
    """How many pairs of images have all these labels in common."""
    counts = np.unique(np.stack(labels, axis=1), return_counts=True, axis=0)[1]
    return sum(count * (count - 1) // 2 for count in counts.tolist())


def _pairs_within(pids: np.ndarray) -> Iterator[np.ndarray]:
    """All pairs (n, 2) of one identity, in pieces."""
    order = np.argsort(pids, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(pids[order])) + 1):
        step = max(1, _ENTRIES // max(1, len(rows)))
        for start in range(0, len(rows), step):
            stop = min(start + step, len(rows))
            first, second = np.nonzero(np.arange(start, stop)[:, None] < np.arange(len(rows)))
            yield np.stack([rows[first + start], rows[second]], axis=1)


def _at_most(pairs: np.ndarray, limit: int, rng: np.random.Generator) -> np.ndarray:
    return pairs if len(pairs) <= limit else pairs[np.sort(rng.choice(len(pairs), limit, replace=False))]


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
