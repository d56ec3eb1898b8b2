"""Storage of the numbers of a descriptor: floats, whole numbers of one byte, or product-quantised."""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from promptreid.retrieval.gallery.stores import faiss_or_none

logger = logging.getLogger(__name__)

FLOATS: dict[str, np.dtype] = {"float32": np.dtype(np.float32), "float16": np.dtype(np.float16)}
CENTROIDS = 256
"""Of a product quantiser, for each byte."""
_GOOD = 39 * CENTROIDS
"""Vectors that FAISS asks for, so that centroids are no guesses."""
_SEED = 0


class Storage(ABC):
    """Storage format: turns (N, d) float32 into codes.

    Attributes:
        name: ``float32``, ``float16``, ``int8`` or ``pqM``.
        dtype: of the codes.
    """

    name: str
    dtype: np.dtype

    @abstractmethod
    def code_width(self, width: int) -> int:
        """Number of codes for a vector of ``width`` numbers."""

    @abstractmethod
    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """Codes (N, code_width); those of what :meth:`decode` gives decode to the same."""

    @abstractmethod
    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Vectors (N, d) float32."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays of the fit, by name."""
        return {}

    def check_width(self, width: int) -> None:
        """Raise ``ValueError`` where what was fitted is not for vectors of ``width`` numbers."""
        fitted = [array.shape[-1] for name, array in self.arrays().items() if name in ("scales", "codebook")]
        if fitted and fitted != [width]:
            raise ValueError(f"{self.name}: fitted to vectors of {fitted[0]} numbers, not {width}")

    def bytes_of(self, width: int) -> int:
        """Bytes of a vector of ``width`` numbers."""
        return self.code_width(width) * self.dtype.itemsize


class FloatStorage(Storage):
    """float32 or float16, which has 11 bits of a number and reaches to 65504."""

    def __init__(self, name: str) -> None:
        self.name, self.dtype = name, FLOATS[name]

    def code_width(self, width: int) -> int:
        return width

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        most = np.finfo(self.dtype).max
        if len(vectors) and np.abs(vectors).max() > most:
            raise ValueError(f"{self.name} holds numbers up to {most:g}, and the vectors have larger; choose float32")
        return np.asarray(vectors, dtype=self.dtype)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return codes.astype(np.float32)


class Int8Storage(Storage):
    """Whole numbers from -127 to 127 times a scale for each column.

    One scale a vector would cost its own bytes and be that of the first principal components, which are several times
    larger than the last: these would be left with few steps.

    Args:
        scales: (d,) float32: a value is off by half of it at most, where it is within 127 of them.
    """

    name = "int8"
    dtype = np.dtype(np.int8)

    def __init__(self, scales: np.ndarray) -> None:
        self.scales = scales

    def code_width(self, width: int) -> int:
        return width

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        steps = vectors.astype(np.float64) / self.scales
        return np.asarray(np.clip(np.rint(steps), -127, 127), dtype=np.int8)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return codes.astype(np.float32) * self.scales

    def arrays(self) -> dict[str, np.ndarray]:
        return {"scales": self.scales}


class ProductQuantiser(Storage):
    """A byte for each block of columns: the nearest of 256 centroids (Jegou et al., PAMI 2011).

    Args:
        codebook: (256, d) float32: the centroids of each block, in its columns.
        bounds: (M + 1,) the first column of each block, and d.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, codebook: np.ndarray, bounds: np.ndarray) -> None:
        self.codebook, self.bounds = codebook, bounds
        self.blocks = [slice(*pair) for pair in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
        self.name = f"pq{len(self.blocks)}"

    def code_width(self, width: int) -> int:
        return len(self.blocks)

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        codes = np.empty((len(vectors), len(self.blocks)), dtype=np.uint8)
        for number, block in enumerate(self.blocks):
            centroids = self.codebook[:, block].astype(np.float64)
            distances = (centroids**2).sum(1) - 2 * vectors[:, block].astype(np.float64) @ centroids.T
            codes[:, number] = distances.argmin(1)
        return codes

    def decode(self, codes: np.ndarray) -> np.ndarray:
        found = np.empty((len(codes), self.codebook.shape[1]), dtype=np.float32)
        for number, block in enumerate(self.blocks):
            found[:, block] = self.codebook[codes[:, number], block]
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        return {"codebook": self.codebook, "bounds": self.bounds}


def check_store(name: str) -> int:
    """M of a product quantiser's name, and 0 of the others.

    Raises:
        ValueError: no such storage.
    """
    blocks = re.fullmatch(r"pq([1-9]\d{0,3})", name)
    if blocks:
        return int(blocks[1])
    if name not in (*FLOATS, "int8"):
        raise ValueError(f"store: {name!r} is none of {', '.join(FLOATS)}, int8, and pqM for M bytes, such as pq32")
    return 0


def fit_storage(name: str, parts: Sequence[np.ndarray]) -> Storage:
    """A storage for vectors, whose parts are given with the objects that have them.

    Args:
        name: see :class:`Storage`.
        parts: for each part of a descriptor, (n, its width) float32.

    Raises:
        ValueError: an unknown name; for product quantisation fewer than 256 vectors, or another number of bytes than
            from one for each part to one for each number.
    """
    bytes_asked = check_store(name)
    if bytes_asked:
        return _fit_quantiser(bytes_asked, parts)
    if name in FLOATS:
        return FloatStorage(name)
    largest = np.concatenate([np.abs(part).max(0) if len(part) else np.zeros(part.shape[1]) for part in parts])
    return Int8Storage(np.where(largest > 0, largest / 127, 1).astype(np.float32))


def storage_of(name: str, arrays: Mapping[str, np.ndarray]) -> Storage:
    """A storage from what :meth:`Storage.arrays` gave.

    Raises:
        ValueError: an unknown name, or arrays that are missing or do not fit.
    """
    blocks = check_store(name)
    if name in FLOATS:
        return FloatStorage(name)
    if not blocks:
        scales = arrays.get("scales")
        if scales is None or scales.dtype != np.float32 or scales.ndim != 1 or not (scales > 0).all():
            raise ValueError("scales: expected float32 above 0")
        return Int8Storage(scales)
    codebook, bounds = arrays.get("codebook"), arrays.get("bounds")
    if codebook is None or codebook.dtype != np.float32 or codebook.ndim != 2 or len(codebook) != CENTROIDS:
        raise ValueError(f"codebook: expected {CENTROIDS} float32 centroids")
    if bounds is None or bounds.shape != (blocks + 1,) or bounds[0] != 0 or bounds[-1] != codebook.shape[1]:
        raise ValueError("bounds: expected the first column of each block")
    if (np.diff(bounds) < 1).any():
        raise ValueError("bounds: expected the first column of each block, ascending")
    return ProductQuantiser(codebook, bounds)


def _fit_quantiser(bytes_asked: int, parts: Sequence[np.ndarray]) -> ProductQuantiser:
    width = sum(part.shape[1] for part in parts)
    shares = [len(share) for share in np.array_split(np.arange(bytes_asked), len(parts))]
    if min(shares) < 1 or any(share > part.shape[1] for share, part in zip(shares, parts, strict=True)):
        raise ValueError(
            f"store: pq{bytes_asked} for {width} numbers in {len(parts)} parts; choose from pq{len(parts)}, a byte for "
            f"each part, to pq{len(parts) * min(part.shape[1] for part in parts)}, a byte for each number"
        )
    centroids, bounds = [], [0]
    for share, part in zip(shares, parts, strict=True):
        if len(part) < CENTROIDS:
            raise ValueError(
                f"store: pq{bytes_asked} learns {CENTROIDS} centroids, and there are {len(part)} vectors to fit on; "
                "fit on more, or choose int8"
            )
        for block in np.array_split(np.arange(part.shape[1]), share):
            centroids.append(_centroids(part[:, block]))
            bounds.append(bounds[-1] + len(block))
    fewest = min(len(part) for part in parts)
    if fewest < _GOOD:
        logger.warning("pq%d is fitted on %d vectors; %d or more are better", bytes_asked, fewest, _GOOD)
    return ProductQuantiser(np.concatenate(centroids, axis=1), np.array(bounds, dtype=np.int64))


def _centroids(vectors: np.ndarray) -> np.ndarray:
    """(256, d) by k-means."""
    faiss = faiss_or_none()
    if faiss is None:
        raise ValueError(
            "store: product quantisers are fitted by FAISS: pip install 'promptreid[search]'; int8 needs "
            "none, and whoever applies a fitted one neither"
        )
    means = faiss.Kmeans(vectors.shape[1], CENTROIDS, seed=_SEED, min_points_per_centroid=1)
    means.train(np.ascontiguousarray(vectors, dtype=np.float32))
    return np.asarray(means.centroids, dtype=np.float32).reshape(CENTROIDS, -1)
