"""Stores of comparable vectors: FAISS's flat, HNSW and IVF-PQ indices, and our own exact search without FAISS."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, cast

import numpy as np

from promptreid.evaluation.ranking.nearest import topk

KINDS = ("flat", "hnsw", "ivfpq")
LEAST_IVFPQ = 39 * 256
"""Vectors that IVF-PQ is trained on at least: below, its 256 centroids a column block are guesses."""
_LINKS, _WIDTH_BUILT, _WIDTH_ASKED = 32, 200, 128
_REFINED = 8
"""Candidates of IVF-PQ for each neighbour asked for; their order is settled by the exact vectors."""
_SAMPLE, _RECALL_AT, _SEED = 200, 10, 0
_MOST_TRAINED = 1 << 17

Found = tuple[np.ndarray, np.ndarray]
"""Scores (Q, k), larger is better, and rows (Q, k) of the store; -1 where there are no more."""


class Blocks(Protocol):
    """Vectors (n, d) float32, of which blocks are asked for: an array, or what makes them."""

    def __len__(self) -> int: ...

    def __getitem__(self, block: slice, /) -> np.ndarray: ...


def faiss_or_none() -> Any:
    """The module FAISS, where it is installed."""
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # it tells each build of itself that it tries
    try:
        import faiss
    except ImportError:
        return None
    return faiss


def need_faiss(kind: str) -> Any:
    """The module FAISS.

    Raises:
        ValueError: it is not installed.
    """
    faiss = faiss_or_none()
    if faiss is None:
        raise ValueError(f"kind {kind!r} needs FAISS: pip install 'promptreid[search]'; kind='flat' does without")
    return faiss


class Store(ABC):
    """Vectors (n, d) that are compared with one another.

    Args:
        vectors: the first ones.
        by_cosine: they have unit length and the score is their product; else it is the negative squared distance.
    """

    def __init__(self, vectors: np.ndarray, by_cosine: bool) -> None:
        self.by_cosine, self.width = by_cosine, vectors.shape[1]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def add(self, vectors: np.ndarray) -> None:
        """Append vectors."""

    @abstractmethod
    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray, effort: int = 1) -> Found:
        """The k best of the allowed rows for each query.

        Args:
            queries: (Q, d) float32.
            k: at least 1.
            allowed: (n,) bool, some of them true.
            effort: how much of an approximate store is looked at, from 1 on; exact ones ignore it.
        """


class OwnFlat(Store):
    """Exact, by :func:`promptreid.evaluation.ranking.nearest.topk`."""

    def __init__(self, vectors: np.ndarray, by_cosine: bool) -> None:
        super().__init__(vectors, by_cosine)
        self._vectors = np.ascontiguousarray(vectors)

    def __len__(self) -> int:
        return len(self._vectors)

    def add(self, vectors: np.ndarray) -> None:
        self._vectors = np.concatenate([self._vectors, vectors])

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray, effort: int = 1) -> Found:
        return exact(queries, self._vectors, k, allowed, self.by_cosine)


class FaissStore(Store):
    """A FAISS index of any kind.

    Args:
        index: with its vectors.
        by_cosine: see :class:`Store`.
        kind: one of :data:`KINDS`.
    """

    def __init__(self, index: Any, by_cosine: bool, kind: str) -> None:
        self.index, self.by_cosine, self.kind, self.width = index, by_cosine, kind, index.d

    def __len__(self) -> int:
        return int(self.index.ntotal)

    def add(self, vectors: np.ndarray) -> None:
        self.index.add(np.ascontiguousarray(vectors, dtype=np.float32))

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray, effort: int = 1) -> Found:
        most = min(k * (_REFINED * effort if self.kind == "ivfpq" else 1), int(allowed.sum()))
        settings = self._settings(allowed, most, effort)
        found, rows = self.index.search(np.ascontiguousarray(queries, dtype=np.float32), most, params=settings)
        return np.where(rows < 0, -np.inf, found if self.by_cosine else -found).astype(np.float32), rows

    def _settings(self, allowed: np.ndarray, k: int, effort: int) -> Any:
        faiss = need_faiss(self.kind)
        chosen = {}
        if not allowed.all():
            self._bits = np.packbits(allowed, bitorder="little")  # FAISS keeps a pointer, not a copy
            chosen["sel"] = faiss.IDSelectorBitmap(self._bits)
        if self.kind == "hnsw":
            return faiss.SearchParametersHNSW(efSearch=effort * max(_WIDTH_ASKED, 2 * k), **chosen)
        if self.kind == "ivfpq":
            cells = effort * max(8, self.index.nlist // 8)
            return faiss.SearchParametersIVF(nprobe=min(cells, self.index.nlist), **chosen)
        return faiss.SearchParameters(**chosen) if chosen else None


def exact(queries: np.ndarray, vectors: np.ndarray, k: int, allowed: np.ndarray, by_cosine: bool) -> Found:
    """Find the k best of the allowed vectors by comparing all of them."""
    rows = np.flatnonzero(allowed)
    scores, found = nearest(queries, vectors[rows], k, by_cosine)
    return scores, rows[found]


def nearest(queries: np.ndarray, vectors: Blocks, k: int, by_cosine: bool) -> Found:
    """Find the k best vectors by comparing all of them block by block."""
    found = topk(queries, cast(np.ndarray, vectors), min(k, len(vectors)), "cosine" if by_cosine else "euclidean")
    distances = found.distances.numpy()
    return (1 - distances if by_cosine else -distances), found.indices.numpy()


def build(vectors: np.ndarray, by_cosine: bool, kind: str) -> Store:
    """Build a store of vectors.

    Raises:
        ValueError: an unknown kind, FAISS is needed and not installed, or too few vectors to train on.
    """
    if kind == "flat" and faiss_or_none() is None:
        return OwnFlat(vectors, by_cosine)
    faiss = need_faiss(kind)
    metric, width = faiss.METRIC_INNER_PRODUCT if by_cosine else faiss.METRIC_L2, vectors.shape[1]
    if kind == "flat":
        index = faiss.IndexFlat(width, metric)
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(width, _LINKS, metric)
        index.hnsw.efConstruction = _WIDTH_BUILT
    else:
        index = _trained(faiss, vectors, metric)
    store = FaissStore(index, by_cosine, kind)
    store.add(vectors)
    return store


def recall_of(store: Store, vectors: np.ndarray, effort: int = 1) -> float:
    """Recall@10: the share of the ten exact neighbours of its own vectors, themselves apart, that a store finds.

    Args:
        store: of ``vectors``.
        vectors: all of them; at most 200, drawn at random, are asked for.
        effort: of the search.
    """
    k = min(_RECALL_AT, len(vectors) - 1)
    if k < 1:
        return 1.0
    rows = np.random.default_rng(_SEED).permutation(len(vectors))[:_SAMPLE]
    everything = np.ones(len(vectors), dtype=bool)
    expected = exact(vectors[rows], vectors, k + 1, everything, store.by_cosine)[1]
    candidates = store.search(vectors[rows], k + 1, everything, effort)
    found = refined(candidates, vectors[rows], lambda chosen: vectors[chosen], k + 1, store.by_cosine)[1]
    shares = []
    for row, right, given in zip(rows.tolist(), expected.tolist(), found.tolist(), strict=True):
        others = [other for other in right if other != row][:k]
        shares.append(len({*others} & {*given}) / k)
    return float(np.mean(shares))


def refined(
    found: Found, queries: np.ndarray, vectors_of: Callable[[np.ndarray], np.ndarray], k: int, by_cosine: bool
) -> Found:
    """Candidates in the order of their exact scores, the k best alone; equal ones by row.

    Args:
        found: candidates of each query.
        queries: (Q, d).
        vectors_of: the exact vectors of rows of the store.
        k: how many to keep.
        by_cosine: see :class:`Store`.
    """
    rows = found[1]
    scores = np.full(rows.shape, -np.inf, dtype=np.float32)
    for number, own in enumerate(rows):
        there = own >= 0
        candidates = vectors_of(own[there])
        products = candidates @ queries[number]
        if not by_cosine:
            products = 2 * products - (candidates**2).sum(1) - (queries[number] ** 2).sum()
        scores[number, there] = products
    order = np.lexsort((rows, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def _trained(faiss: Any, vectors: np.ndarray, metric: int) -> Any:
    count, width = vectors.shape
    if count < LEAST_IVFPQ:
        raise ValueError(
            f"{count} vectors are too few to train IVF-PQ, which needs {LEAST_IVFPQ}: add more before the first search "
            "or save, or use kind='hnsw' or kind='flat', which need no training"
        )
    cells = min(int(4 * count**0.5), count // 39)
    blocks = next(number for number in range(min(width, max(1, width // 4)), 0, -1) if width % number == 0)
    index = faiss.IndexIVFPQ(faiss.IndexFlat(width, metric), width, cells, blocks, 8, metric)
    sample = np.random.default_rng(_SEED).permutation(count)[: max(_MOST_TRAINED, 39 * cells)]
    index.train(np.ascontiguousarray(vectors[np.sort(sample)]))
    return index
