"""Vectors of objects, with the description that a comparison needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from promptreid.evaluation.features import check_length
from promptreid.retrieval.bands import short_names
from promptreid.retrieval.description import ModelDescription, check_same_model

if TYPE_CHECKING:
    from promptreid.retrieval.compression.compressor import Compressor


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors of N objects, with their names, bands, cameras and model.

    Attributes:
        model: what made them.
        vectors: (N, D) float32.
        present: (N, M) bool: which bands each object was embedded from, in the order of ``model.modalities``. Of a
            model with single images, exactly one.
        names: (N,) texts.
        cameras: (N,) rows of the model's camera table, -1 where unknown.
        failed: the objects that could not be read and were skipped, each with the reason.
        compressor: what made the vectors smaller, where ``model`` says that they are.

    Raises:
        ValueError: shapes that do not belong together, vectors that are not finite, or another compressor.
    """

    model: ModelDescription
    vectors: np.ndarray
    present: np.ndarray
    names: np.ndarray
    cameras: np.ndarray
    failed: tuple[tuple[str, str], ...] = ()
    compressor: Compressor | None = None

    def __post_init__(self) -> None:
        width, bands = self.model.width_of_vector, len(self.model.modalities)
        if self.vectors.ndim != 2 or self.vectors.shape[1] != width:
            raise ValueError(
                f"vectors: {self.model.name} makes vectors of {width} numbers, got shape {self.vectors.shape}"
            )
        if self.present.shape != (len(self.vectors), bands):
            raise ValueError(f"present: expected shape {(len(self.vectors), bands)}, got {self.present.shape}")
        for name in ("names", "cameras"):
            check_length(name, len(getattr(self, name)), len(self.vectors), "vectors")
        if not np.isfinite(self.vectors).all():
            raise ValueError("vectors: not finite (NaN or infinity)")
        if self.model.compression != ("" if self.compressor is None else self.compressor.digest):
            raise ValueError("compressor: not the one by which the vectors were compressed")

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: slice | Sequence[int] | np.ndarray) -> Embeddings:
        """Select some of the objects."""
        kept = rows if isinstance(rows, slice) else np.asarray(rows)
        columns = {name: getattr(self, name)[kept] for name in ("vectors", "present", "names", "cameras")}
        return replace(self, **columns, failed=())

    def bands(self, row: int) -> str:
        """The bands of an object, such as ``RGB+TIR``."""
        return short_names(self.present[row], self.model.modalities)


def join(parts: Sequence[Embeddings]) -> Embeddings:
    """Join embeddings of one model, one after the other.

    Raises:
        ValueError: nothing to join, or vectors of different models.
    """
    if not parts:
        raise ValueError("nothing to join: give at least one Embeddings")
    for part in parts[1:]:
        check_same_model(parts[0].model, part.model, "join")
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("vectors", "present", "names", "cameras")
    }
    failed = tuple(item for part in parts for item in part.failed)
    return Embeddings(parts[0].model, **columns, failed=failed, compressor=parts[0].compressor)


def scores(queries: Embeddings, gallery: Embeddings) -> np.ndarray:
    """Similarity scores of each query and each gallery object, (Q, G) float32: larger is more alike.

    Cosines in [-1, 1] where the model is tested with them or with vectors of unit length, and negative squared
    distances otherwise. Objects are compared on the bands that both have; see :func:`comparable` and :func:`alike`.

    Raises:
        ValueError: vectors of two models, or two objects that cannot be compared.
    """
    check_same_model(queries.model, gallery.model, "gallery")
    found = np.empty((len(queries), len(gallery)), dtype=np.float32)
    for query_rows, query_bands in patterns(queries.present):
        for gallery_rows, gallery_bands in patterns(gallery.present):
            common = comparable(queries.model, query_bands, gallery_bands)
            left, right = (
                compared(side.vectors[rows], side.model, common)
                for side, rows in ((queries, query_rows), (gallery, gallery_rows))
            )
            found[np.ix_(query_rows, gallery_rows)] = alike(left, right, queries.model, common)
    return found


def patterns(present: np.ndarray) -> list[tuple[np.ndarray, tuple[bool, ...]]]:
    """The rows (n,) of each set of bands that objects have, with that set."""
    unique, inverse = np.unique(present, axis=0, return_inverse=True)
    flat = inverse.reshape(-1)
    return [(np.flatnonzero(flat == number), tuple(row.tolist())) for number, row in enumerate(unique)]


def comparable(model: ModelDescription, query: Sequence[bool], gallery: Sequence[bool]) -> tuple[bool, ...]:
    """The bands on which two objects are compared: of a model with a part for each band, those that both have.

    Raises:
        ValueError: there are none; or the model's bands exchange, and the two objects have different ones.
    """
    if model.space == "shared":
        return tuple(query)
    common = tuple(bool(a and b) for a, b in zip(query, gallery, strict=True))
    names = [short_names(side, model.modalities) for side in (query, gallery)]
    if not any(common):
        raise ValueError(
            f"a query of {names[0]} has no band in common with gallery objects of {names[1]}; {model.name} keeps a "
            "part for each band, so compare objects that share one"
        )
    if model.space == "whole" and tuple(query) != tuple(gallery):
        shared = short_names(common, model.modalities)
        raise ValueError(
            f"a query of {names[0]} and gallery objects of {names[1]}: the bands of {model.name} exchange, so a vector "
            f"stands for exactly its bands; embed both sides again with bands={shared!r}"
        )
    return common


def compared(vectors: np.ndarray, model: ModelDescription, bands: Sequence[bool]) -> np.ndarray:
    """The columns (N, d) by which objects are compared on these bands, of unit length where the model's are.

    Args:
        vectors: (N, D) of objects that have all these bands.
        model: what made them.
        bands: of the comparison, from :func:`comparable`.
    """
    if model.parts is not None and model.space == "parts":
        used = [slice(*part) for part, there in zip(model.parts, bands, strict=True) if there]
        vectors = np.concatenate([vectors[:, columns] for columns in used], axis=1)
    return unit_length(vectors) if model.by_cosine else vectors


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Vectors (N, D) divided by their lengths; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, np.finfo(np.float32).tiny), dtype=np.float32)


def alike(left: np.ndarray, right: np.ndarray, model: ModelDescription, bands: Sequence[bool]) -> np.ndarray:
    """Scores (N1, N2) of what :func:`compared` gives for these bands; larger is more alike.

    Where vectors have no unit length and a part for each band, the squared distance is the mean over the bands: so
    objects that are compared on one band and on three can be ranked together.
    """
    products = left @ right.T
    if model.by_cosine:
        return products
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1)
    return np.asarray((2 * products - squares) / parts_in(model, bands), dtype=np.float32)


def parts_in(model: ModelDescription, bands: Sequence[bool]) -> int:
    """Number of vector parts in a comparison on these bands; 1 for a vector without parts."""
    return sum(bands) if model.space == "parts" else 1
