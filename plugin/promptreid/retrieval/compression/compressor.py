"""A compressor: vectors of one model become smaller ones that are compared as before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from promptreid.retrieval.compression.projection import Projection, fit_projection
from promptreid.retrieval.compression.storage import Storage, check_store, fit_storage
from promptreid.retrieval.description import ModelDescription, check_same_model
from promptreid.retrieval.embeddings import Embeddings, unit_length

_BLOCK = 8192


@dataclass(frozen=True, eq=False)
class Compressor:
    """Compressor of a model's vectors: principal components and a storage format for their numbers.

    Of a model with a part for each band, each part has its own projection and its own columns, so that objects are
    compared on the bands that both have, as before. Directions and storage are those of vectors of unit length where
    the model compares by cosine.

    Attributes:
        model: whose vectors it takes.
        projections: of each part, or of the whole vector; none where only the storage changes.
        whiten: whether they bring all variances to 1.
        storage: what the numbers become.

    Examples:
        >>> small = Compressor.fit(train, dim=64, store="int8")
        >>> small.save("small.safetensors")
        >>> index = promptreid.GalleryIndex(reid.model, compressor=small)
    """

    model: ModelDescription
    projections: tuple[Projection, ...]
    whiten: bool
    storage: Storage

    @classmethod
    def fit(
        cls, embeddings: Embeddings, dim: int | None = None, whiten: bool = False, store: str = "float32"
    ) -> Compressor:
        """Fit a compressor to vectors, without identities.

        Args:
            embeddings: of the model, thousands of them where possible.
            dim: numbers that are left, in all; parts get equal shares. None keeps the model's own.
            whiten: bring the variance of each to 1.
            store: ``float32``, ``float16``, ``int8``, or ``pqM`` for M bytes.

        Raises:
            ValueError: compressed vectors, nothing to change, more directions than there are or than the vectors tell,
                or too few vectors for the storage.
        """
        _check_plain(embeddings.model)
        check_store(store)
        if dim is None and (whiten or store == "float32"):
            raise ValueError("dim: whitening needs it" if whiten else "dim: without it float32 changes nothing")
        count = len(_parts(embeddings.model))
        if dim is not None and dim < count:
            raise ValueError(f"dim: {dim} is below {count}, one for each part of a vector")
        if not len(embeddings):
            raise ValueError("there are no vectors to fit on")
        projections = () if dim is None else _fitted(embeddings, dim, whiten)
        values = _reduced(embeddings.vectors, embeddings.present, embeddings.model, projections)
        there = _there(embeddings.present, embeddings.model)
        own = _columns(embeddings.model, projections)
        parts = [values[there[:, number], slice(*part)] for number, part in enumerate(own)]
        return cls(embeddings.model, projections, whiten, fit_storage(store, parts))

    def save(self, path: str | Path) -> None:
        """Write a ``.safetensors`` file; see :func:`~promptreid.retrieval.compression.files.save_compressor`."""
        from promptreid.retrieval.compression.files import save_compressor

        save_compressor(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Compressor:
        """Read what :meth:`save` wrote; see :func:`~promptreid.retrieval.compression.files.load_compressor`."""
        from promptreid.retrieval.compression.files import load_compressor

        return load_compressor(path)

    @cached_property
    def digest(self) -> str:
        """sha256 of the model's id and of all fitted arrays."""
        found = hashlib.sha256(json.dumps([self.model.model_id, self.whiten, self.storage.name]).encode())
        for name, array in self.arrays().items():
            found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    @cached_property
    def compressed(self) -> ModelDescription:
        """Description of the smaller vectors, with a ``model_id`` that only this compressor has."""
        columns = _columns(self.model, self.projections)
        both = hashlib.sha256(f"{self.model.model_id} {self.digest}".encode()).hexdigest()
        return replace(
            self.model,
            model_id=both,
            width_of_vector=columns[-1][1],
            parts=None if self.model.parts is None else columns,
            compression=self.digest,
        )

    def check(self) -> None:
        """Raise ``ValueError`` where what was read does not fit the model's vectors."""
        parts = _parts(self.model)
        if len(self.projections) not in (0, len(parts)):
            raise ValueError(f"{len(self.projections)} projections for {len(parts)} parts of a vector")
        for projection, (first, last) in zip(self.projections, parts, strict=False):
            mean, axes = projection.mean, projection.axes
            shapes = (
                mean.shape == (last - first,) and axes.ndim == 2 and len(axes) == last - first and axes.shape[1] > 0
            )
            if not shapes or not all(part.dtype == np.float32 and np.isfinite(part).all() for part in (mean, axes)):
                raise ValueError(f"a projection of {mean.dtype} {mean.shape} and {axes.dtype} {axes.shape}")
        self.storage.check_width(_columns(self.model, self.projections)[-1][1])

    @property
    def bytes_per_object(self) -> int:
        """Bytes of a stored vector."""
        return self.storage.bytes_of(self.compressed.width_of_vector)

    @property
    def label(self) -> str:
        """Label of the compressor, such as ``64 whitened, int8``."""
        whitened = " whitened" if self.whiten else ""
        return f"{self.compressed.width_of_vector}{whitened}, {self.storage.name}"

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays of the fit, by name."""
        found: dict[str, np.ndarray] = {}
        for number, projection in enumerate(self.projections):
            found |= {f"mean-{number}": projection.mean, f"axes-{number}": projection.axes}
        return found | self.storage.arrays()

    def apply(self, embeddings: Embeddings) -> Embeddings:
        """The smaller vectors, float32 as the stored ones are read.

        Raises:
            ValueError: vectors of another model, or compressed ones.
        """
        _check_plain(embeddings.model)
        check_same_model(self.model, embeddings.model, "the vectors to be compressed")
        found = np.empty((len(embeddings), self.compressed.width_of_vector), dtype=np.float32)
        for start in range(0, len(embeddings), _BLOCK):
            rows = slice(start, start + _BLOCK)
            present = embeddings.present[rows]
            values = _reduced(embeddings.vectors[rows], present, self.model, self.projections)
            found[rows] = self.decode(self.encode(values), present)
        return replace(embeddings, model=self.compressed, vectors=found, compressor=self)

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """The codes of smaller vectors (N, d), of which :meth:`apply`'s decode to the very same vectors."""
        return self.storage.encode(vectors)

    def decode(self, codes: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Vectors (N, d) float32 of codes, zeros for bands that are not ``present`` (N, M).

        Raises:
            ValueError: codes of another type or width.
        """
        width = self.storage.code_width(self.compressed.width_of_vector)
        if codes.dtype != self.storage.dtype or codes.ndim != 2 or codes.shape[1] != width:
            raise ValueError(
                f"vectors: expected {width} of {self.storage.dtype} an object ({self.storage.name}), got "
                f"{codes.dtype} {codes.shape}"
            )
        found = self.storage.decode(codes)
        there = _there(present, self.model)
        for number, part in enumerate(_columns(self.model, self.projections)):
            if not there[:, number].all():
                found[~there[:, number], slice(*part)] = 0
        return found


def _check_plain(model: ModelDescription) -> None:
    if model.compression:
        raise ValueError(
            f"the vectors are compressed already, by {model.compression[:12]}; a compressor takes {model.name}'s own"
        )


def _parts(model: ModelDescription) -> tuple[tuple[int, int], ...]:
    """First and last column (exclusive) of each part; the whole vector where it has none."""
    return model.parts if model.space == "parts" and model.parts else ((0, model.width_of_vector),)


def _columns(model: ModelDescription, projections: Sequence[Projection]) -> tuple[tuple[int, int], ...]:
    """As :func:`_parts`, of the smaller vectors."""
    if not projections:
        return _parts(model)
    ends = np.cumsum([0, *(projection.width for projection in projections)]).tolist()
    return tuple(pairwise(ends))


def _there(present: np.ndarray, model: ModelDescription) -> np.ndarray:
    """(N, parts) bool: which parts objects have."""
    return present if model.space == "parts" else np.ones((len(present), 1), dtype=bool)


def _fitted(embeddings: Embeddings, dim: int, whiten: bool) -> tuple[Projection, ...]:
    parts, there = _parts(embeddings.model), _there(embeddings.present, embeddings.model)
    shares = [len(share) for share in np.array_split(np.arange(dim), len(parts))]
    found = []
    for number, (part, share) in enumerate(zip(parts, shares, strict=True)):
        vectors = embeddings.vectors[there[:, number], slice(*part)]
        if embeddings.model.by_cosine:
            vectors = unit_length(vectors)
        found.append(fit_projection(vectors, share, whiten))
    return tuple(found)


def _reduced(
    vectors: np.ndarray, present: np.ndarray, model: ModelDescription, projections: Sequence[Projection]
) -> np.ndarray:
    """(N, d) float32 before storage.

    Where the model compares by cosine, of a length that gives each part its usual one: 1, or less where bands are
    missing. A storage that was fitted on complete objects so suits the others too.
    """
    there = _there(present, model)
    columns = _columns(model, projections)
    found = np.zeros((len(vectors), columns[-1][1]))
    for number, part in enumerate(_parts(model)):
        own = vectors[:, slice(*part)].astype(np.float64) * there[:, number, None]
        if projections:
            lengths = np.linalg.norm(own, axis=1) if model.by_cosine else there[:, number].astype(np.float64)
            own = projections[number].apply(own, lengths)
        found[:, slice(*columns[number])] = own
    if model.by_cosine:
        norms = np.maximum(np.linalg.norm(found, axis=1), np.finfo(np.float64).tiny)
        found *= (np.sqrt(there.mean(1)) / norms)[:, None]
    return found.astype(np.float32)
