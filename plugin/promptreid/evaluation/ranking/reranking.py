"""k-reciprocal re-ranking (Zhong et al., CVPR 2017), exact and sparse: no N x N matrix anywhere.

A row of the method's encoding V has some twenty entries, forty after its query expansion, so that sets, weights and
Jaccard distances are products of sparse matrices. What takes time are the neighbours of all queries and gallery items
among each other.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from promptreid.evaluation.features import Array, as_tensor
from promptreid.evaluation.ranking.distances import FeatureDistances
from promptreid.evaluation.ranking.nearest import Nearest, scan

ORIGINALS = ("squared", "plain")
"""What is done to the original distances before they are weighed: torchreid's way, and that of TransReID and DeMo."""


@dataclass(frozen=True)
class KReciprocal:
    """Parameters of the method, with the paper's defaults.

    The same numbers as torchreid's ``re_ranking``, which squares the distances it gets, unless two distances at the end
    of a neighbour list differ by less than float32 resolves. Here equal distances are neighbours by index, and every
    image is its own nearest one.

    The code of TransReID and of DeMo does not square: ``original="plain"`` gives its numbers. The neighbours are the
    same, but the weights in the encoding and the share of the original distance are not.

    Args:
        k1: neighbours that can be reciprocal.
        k2: neighbours over which the encodings are averaged; 1 leaves that out.
        weight: lambda, the share of the original distance, 0 to 1.
        original: one of :data:`ORIGINALS`, what is done to the metric's distances (squared Euclidean ones, or cosine).

    Raises:
        ValueError: a parameter out of range.
    """

    k1: int = 20
    k2: int = 6
    weight: float = 0.3
    original: str = ORIGINALS[0]

    def __post_init__(self) -> None:
        if self.original not in ORIGINALS:
            raise ValueError(f"original: {self.original!r} is not one of {ORIGINALS}")
        for name in ("k1", "k2"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is below 1")
        if not 0 <= self.weight <= 1:
            raise ValueError(f"weight: {self.weight} is outside 0..1")

    @property
    def name(self) -> str:
        """What is printed behind the protocol's name."""
        plain = "" if self.original == ORIGINALS[0] else f",{self.original}"
        return f"k-reciprocal({self.k1},{self.k2},{self.weight:g}{plain})"

    @property
    def power(self) -> int:
        """To which the original distances are raised."""
        return {"squared": 2, "plain": 1}[self.original]

    def distances(self, query: Array, gallery: Array, metric: str = "euclidean") -> ReRankedDistances:
        """Re-ranked distances of these queries to this gallery; each depends on all images of both.

        Args:
            query: (Q, D) floats.
            gallery: (G, D) floats.
            metric: ``"euclidean"`` (squared, then squared again where :attr:`original` says so) or ``"cosine"``.

        Raises:
            ValueError: features that cannot be compared; the message names the argument.
        """
        between = FeatureDistances(query, gallery, metric)
        images = torch.cat([as_tensor(query).float(), as_tensor(gallery).float()])
        neighbours, farthest = _neighbourhood(images, metric, max(self.k1 + 1, self.k2))
        pattern = _expanded_sets(neighbours, self.k1)
        encoding = _encode(pattern, FeatureDistances(images, images, metric), farthest, self.power)
        if self.k2 > 1:
            encoding = _averaging(neighbours[:, : self.k2]) @ encoding
        return ReRankedDistances(between, encoding, farthest[: between.shape[0]], self.weight, self.power)


class ReRankedDistances:
    """Rows of re-ranked distances, (1 - weight) * Jaccard + weight * original, computed when asked for.

    Args:
        between: original distances, queries to gallery.
        encoding: (Q + G, Q + G) sparse V.
        farthest: (Q,) each query's largest original distance to any image.
        weight: lambda.
        power: to which the original distances are raised.
    """

    def __init__(
        self, between: FeatureDistances, encoding: sparse.csr_array, farthest: torch.Tensor, weight: float, power: int
    ) -> None:
        self._between, self._farthest, self._weight, self._power = between, farthest, weight, power
        num_queries = between.shape[0]
        self._query, self._gallery = encoding[:num_queries], encoding[num_queries:].tocsc()

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of queries and gallery items."""
        return self._between.shape

    @property
    def device(self) -> torch.device:
        """Where the features are and the distances will be."""
        return self._between.device

    def columns(self, index: np.ndarray) -> ReRankedDistances:
        """The same distances, restricted to these gallery items; those left out still took part."""
        part = copy(self)
        part._between, part._gallery = self._between.columns(index), self._gallery[index]
        return part

    def rows(self, index: torch.Tensor) -> torch.Tensor:
        """(len(index), G) float32 distances of these queries."""
        block = _normalised(self._between.rows(index), self._farthest[index, None], self._power).mul_(self._weight)
        overlap = self._overlap(index.cpu().numpy(), block)
        return block.add_(1 - overlap / (2 - overlap), alpha=1 - self._weight)

    def _overlap(self, index: np.ndarray, like: torch.Tensor) -> torch.Tensor:
        """(len(index), G) sums over the smaller ones of two encodings' entries; only non-zero pairs are visited."""
        query, gallery = self._query[index], self._gallery
        lengths = np.diff(gallery.indptr)[query.indices]
        row = np.repeat(np.repeat(np.arange(len(index)), np.diff(query.indptr)), lengths)
        entry = _ranges(gallery.indptr[query.indices], lengths)
        smaller = np.minimum(np.repeat(query.data, lengths), gallery.data[entry])
        place = torch.from_numpy(row * like.shape[1] + gallery.indices[entry]).to(like.device)
        sums = torch.zeros_like(like)
        sums.view(-1).index_add_(0, place, torch.from_numpy(smaller).to(like.device))
        return sums


def _neighbourhood(images: torch.Tensor, metric: str, k: int) -> tuple[np.ndarray, torch.Tensor]:
    """(N, min(k, N)) neighbours of each image, itself first, and (N,) its largest distance."""
    nearest = Nearest(len(images), min(k, len(images)), images.device)
    farthest = torch.zeros(len(images), device=images.device)

    def visit(rows: slice, start: int, tile: torch.Tensor) -> None:
        farthest[rows] = torch.maximum(farthest[rows], tile.amax(1))
        if rows.start < start + tile.shape[1] and start < rows.stop:
            tile.diagonal(rows.start - start).fill_(-torch.inf)  # each image to itself
        nearest.add(rows, start, tile)

    scan(images, images, metric, visit)
    return nearest.indices.cpu().numpy(), farthest.clamp_(min=torch.finfo(torch.float32).tiny)


def _normalised(distances: torch.Tensor, farthest: torch.Tensor, power: int) -> torch.Tensor:
    """Powers of the distances, as shares of the largest one's; in place."""
    shares = distances.clamp_(min=0).div_(farthest)
    return shares if power == 1 else shares.square_()


def _expanded_sets(neighbours: np.ndarray, k1: int) -> sparse.csr_array:
    """(N, N) pattern of R*, eq. 5 of the paper: k1-reciprocal neighbours, and the sets of those that share enough.

    The set R(c, k1/2) of a neighbour c joins where more than two thirds of it are in R(i, k1) already.
    """
    sets = _reciprocal(neighbours[:, : k1 + 1])
    halves = _reciprocal(neighbours[:, : round(k1 / 2) + 1])  # both numpy and Python round halves to even
    shared = (sets @ halves).multiply(sets).tocsr()  # halves is symmetric: entry (i, c) is |R(i, k1) & R(c, k1/2)|
    sizes = np.diff(halves.indptr)
    shared.data = (3 * shared.data > 2 * sizes[shared.indices]).astype(np.int32)
    shared.eliminate_zeros()
    pattern = (sets + shared @ halves).tocsr()
    pattern.sort_indices()
    return pattern


def _reciprocal(neighbours: np.ndarray) -> sparse.csr_array:
    """(N, N) int32 pattern of the pairs that are in each other's lists."""
    forward = _lists(neighbours, np.int32(1))
    return forward.multiply(forward.T.tocsr()).tocsr()


def _averaging(neighbours: np.ndarray) -> sparse.csr_array:
    return _lists(neighbours, np.float32(1 / neighbours.shape[1]))


def _lists(neighbours: np.ndarray, value: np.generic) -> sparse.csr_array:
    size, k = neighbours.shape
    starts = np.arange(0, size * k + 1, k)
    return sparse.csr_array((np.full(size * k, value), neighbours.ravel(), starts), shape=(size, size))


def _encode(
    pattern: sparse.csr_array, distances: FeatureDistances, farthest: torch.Tensor, power: int
) -> sparse.csr_array:
    """V, eq. 7 of the paper: Gaussian weights on the pattern, whose rows then sum to one."""
    lengths = np.diff(pattern.indptr)
    rows, columns = (
        torch.from_numpy(index).long().to(distances.device)
        for index in (np.repeat(np.arange(len(lengths)), lengths), pattern.indices)
    )
    weights = _normalised(distances.pairs(rows, columns), farthest[rows], power).neg_().exp_().cpu().numpy()
    sums = np.add.reduceat(weights, pattern.indptr[:-1])  # no row is empty: each image is its own neighbour
    return sparse.csr_array((weights / np.repeat(sums, lengths), pattern.indices, pattern.indptr), shape=pattern.shape)


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """``starts[0] .. starts[0] + lengths[0] - 1``, then the same of the second, and so on."""
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) - np.repeat(before - starts, lengths)
