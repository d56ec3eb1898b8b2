"""Distances between queries and gallery, a block of rows at a time; the Q x G matrix never exists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn import functional as F

from promptreid.evaluation.features import Array, as_tensor

METRICS = ("euclidean", "cosine")
_CHECK_ROWS = 256
_PAIR_ELEMENTS = 1 << 24
_SHOWN_ROWS = 5
_BACKENDS: Any = torch.backends  # its attributes differ between the supported versions


class DistanceRows(Protocol):
    """Rows of a Q x G distance matrix, on demand."""

    @property
    def shape(self) -> tuple[int, int]:
        """Q and G."""

    @property
    def device(self) -> torch.device:
        """Where the rows will be."""

    def columns(self, index: np.ndarray) -> DistanceRows:
        """The same rows, restricted to these gallery items."""

    def rows(self, index: torch.Tensor) -> torch.Tensor:
        """(len(index), G) distances, freshly allocated: the caller may overwrite them."""


class DistanceMatrix(DistanceRows, Protocol):
    """Distances that can also be read the other way round."""

    def transposed(self) -> DistanceRows:
        """Gallery against queries."""


class QueryRows:
    """The distances of some of the queries.

    Args:
        distances: of all of them.
        queries: (R,) rows of these.
    """

    def __init__(self, distances: DistanceRows, queries: np.ndarray) -> None:
        self._distances, self._queries = distances, torch.from_numpy(queries).to(distances.device)

    @property
    def shape(self) -> tuple[int, int]:
        """R and G."""
        return len(self._queries), self._distances.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the rows will be."""
        return self._distances.device

    def columns(self, index: np.ndarray) -> QueryRows:
        """The same queries, against these gallery items only."""
        part = copy(self)
        part._distances = self._distances.columns(index)
        return part

    def rows(self, index: torch.Tensor) -> torch.Tensor:
        """(len(index), G) distances; the indices count from 0 to R - 1."""
        return self._distances.rows(self._queries[index])


class FeatureDistances:
    """Distances of features, computed when asked for, always in float32.

    ``euclidean`` is the squared Euclidean distance and ``cosine`` is one minus the cosine, as in torchreid's
    ``compute_distance_matrix``.

    Args:
        query: (Q, D) floats of any precision.
        gallery: (G, D) floats of any precision, on the same device.
        metric: ``"euclidean"`` or ``"cosine"``.
        gallery_start: the number that messages give to the gallery's first row, where it is part of a larger one.

    Raises:
        ValueError: unknown metric, an empty side, features that are not finite float matrices of one width, or so large
            that their squared distances overflow float32.
    """

    def __init__(self, query: Array, gallery: Array, metric: str = "euclidean", *, gallery_start: int = 0) -> None:
        if metric not in METRICS:
            raise ValueError(f"metric: {metric!r} is not one of {METRICS}")
        self._metric = metric
        self._query, self._gallery = _as_features("query", query), _as_features("gallery", gallery)
        if self._query.shape[1] != self._gallery.shape[1]:
            raise ValueError(f"query: {self._query.shape[1]} features per image, gallery: {self._gallery.shape[1]}")
        self._query_norms = _squared_norms("query", self._query)
        self._gallery_norms = _squared_norms("gallery", self._gallery, gallery_start)
        if metric == "cosine":
            self._query, self._gallery = F.normalize(self._query), F.normalize(self._gallery)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of queries and gallery items."""
        return len(self._query), len(self._gallery)

    @property
    def device(self) -> torch.device:
        """Where the features are and the distances will be."""
        return self._gallery.device

    def columns(self, index: np.ndarray) -> FeatureDistances:
        """The same queries against these gallery items only."""
        chosen = torch.from_numpy(index).to(self.device)
        part = copy(self)
        part._gallery, part._gallery_norms = self._gallery[chosen], self._gallery_norms[chosen]
        return part

    def transposed(self) -> FeatureDistances:
        """Gallery against queries."""
        swapped = copy(self)
        swapped._query, swapped._query_norms = self._gallery, self._gallery_norms
        swapped._gallery, swapped._gallery_norms = self._query, self._query_norms
        return swapped

    def rows(self, index: torch.Tensor) -> torch.Tensor:
        """(len(index), G) float32 distances of these queries."""
        with full_precision(self.device):
            if self._metric == "cosine":
                return torch.mm(self._query[index], self._gallery.T).neg_().add_(1)
            products = torch.addmm(self._gallery_norms, self._query[index], self._gallery.T, alpha=-2)
            return products.add_(self._query_norms[index, None])

    def pairs(self, queries: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """(P,) float32 distances of single pairs, ``queries[p]`` to ``items[p]``."""
        step = max(1, _PAIR_ELEMENTS // self._query.shape[1])
        parts = zip(queries.split(step), items.split(step), strict=True)
        return torch.cat([self._pairs(*part) for part in parts])

    def _pairs(self, queries: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        with full_precision(self.device):
            products = torch.einsum("pd,pd->p", self._query[queries], self._gallery[items])
        if self._metric == "cosine":
            return 1 - products
        return self._query_norms[queries] + self._gallery_norms[items] - 2 * products


class GivenDistances:
    """A distance matrix that the caller computed; it is read, never written.

    Args:
        distances: (Q, G) finite floats. float64 keeps its precision, shorter floats are ranked in float32.

    Raises:
        ValueError: not a two-dimensional real array, an empty one, or NaN or infinity in it.
    """

    def __init__(self, distances: Array) -> None:
        self._matrix = as_tensor(distances)
        self._columns: torch.Tensor | None = None
        if self._matrix.ndim != 2 or self._matrix.is_complex():
            raise ValueError(f"distances: expected a real Q x G matrix, got {tuple(self._matrix.shape)}")
        for name, size in zip(("query", "gallery"), self._matrix.shape, strict=True):
            _check_not_empty(name, size)
        if not all(torch.isfinite(rows).all() for rows in self._matrix.split(_CHECK_ROWS)):
            raise ValueError("distances: NaN or infinite values cannot be ranked; check the features behind them")

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of queries and gallery items."""
        return len(self._matrix), self._matrix.shape[1] if self._columns is None else len(self._columns)

    @property
    def device(self) -> torch.device:
        """Where the matrix is."""
        return self._matrix.device

    def columns(self, index: np.ndarray) -> GivenDistances:
        """The same rows, restricted to these gallery items."""
        chosen = torch.from_numpy(index).to(self.device)
        part = copy(self)
        part._columns = chosen if self._columns is None else self._columns[chosen]
        return part

    def transposed(self) -> GivenDistances:
        """Gallery against queries."""
        swapped = copy(self)
        swapped._matrix = (self._matrix if self._columns is None else self._matrix[:, self._columns]).T
        swapped._columns = None
        return swapped

    def rows(self, index: torch.Tensor) -> torch.Tensor:
        """(len(index), G) copies of these rows, in float32 or float64."""
        block = self._matrix[index]
        if self._columns is not None:
            block = block.index_select(1, self._columns)
        # Integers may exceed float32's 24 bits, which would invent ties.
        exact = block.dtype == torch.float64 or not block.is_floating_point()
        return block.to(torch.float64 if exact else torch.float32)


def compute_distances(query: Array, gallery: Array, metric: str = "euclidean") -> torch.Tensor:
    """The whole (Q, G) float32 distance matrix, for small sets; see :class:`FeatureDistances`."""
    distances = FeatureDistances(query, gallery, metric)
    return distances.rows(torch.arange(len(query), device=distances.device))


def _as_features(name: str, features: Array) -> torch.Tensor:
    tensor = as_tensor(features)
    if tensor.ndim != 2 or not tensor.is_floating_point():
        raise ValueError(f"{name}: expected an N x D matrix of floats, got {tensor.dtype} {tuple(tensor.shape)}")
    _check_not_empty(name, len(tensor))
    if not tensor.shape[1]:
        raise ValueError(f"{name}: the features have no columns, so that all distances are alike")
    return tensor.float()


def _check_not_empty(name: str, size: int) -> None:
    if not size:
        raise ValueError(f"{name}: there is no image in it")


def _squared_norms(name: str, features: torch.Tensor, start: int = 0) -> torch.Tensor:
    with full_precision(features.device):
        norms = torch.einsum("nd,nd->n", features, features)
    # A squared distance is at most twice the sum of two squared norms. NaN compares as not smaller.
    if not (norms < torch.finfo(torch.float32).max / 4).all():
        bad = (~torch.isfinite(features).all(1)).nonzero()[:, 0] + start
        if len(bad):
            rows = ", ".join(str(row) for row in bad[:_SHOWN_ROWS].tolist())
            more = f" and {len(bad) - _SHOWN_ROWS} more" if len(bad) > _SHOWN_ROWS else ""
            raise ValueError(f"{name}: the features hold NaN or infinite values in rows {rows}{more}")
        raise ValueError(f"{name}: features so large that their squared distances overflow float32; normalise them")
    return norms


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """float32 products even under autocast or with TF32 switched on: ranks need the last bits."""
    with torch.autocast(device.type, enabled=False):
        if not hasattr(_BACKENDS, "fp32_precision"):  # torch before 2.9
            precision = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("highest")
            try:
                yield
            finally:
                torch.set_float32_matmul_precision(precision)
            return
        backends: tuple[Any, ...] = (_BACKENDS.cuda.matmul, _BACKENDS.mkldnn.matmul)
        precisions = [backend.fp32_precision for backend in backends]
        try:
            for backend in backends:
                backend.fp32_precision = "ieee"
            yield
        finally:
            for backend, precision in zip(backends, precisions, strict=True):
                backend.fp32_precision = precision
