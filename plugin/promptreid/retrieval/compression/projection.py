"""Principal components of descriptors, with or without whitening (Jegou and Chum, ECCV 2012)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_BLOCK = 8192
_LEAST_VARIANCE = 1e-10
"""Of the largest one: a direction with less has no variance that float32 could tell from none."""


@dataclass(frozen=True, eq=False)
class Projection:
    """Linear projection: x -> (x - mean) axes.

    Attributes:
        mean: (D,) float32.
        axes: (D, d) float32: orthonormal columns, the direction of the largest variance first; divided by the standard
            deviations where they whiten.
    """

    mean: np.ndarray
    axes: np.ndarray

    @property
    def width(self) -> int:
        """Width d of the projected vectors."""
        return int(self.axes.shape[1])

    def apply(self, vectors: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """(N, d) float64 of vectors (N, D) that are ``lengths`` (N,) times those that were fitted.

        A vector of twice the length gives twice the outcome, and zero gives zero: so the parts of a descriptor keep
        their shares in it. Computed in float64, so that how vectors are batched does not show in float32.
        """
        centred = vectors.astype(np.float64) - lengths[:, None] * self.mean
        return np.asarray(centred @ self.axes.astype(np.float64))


def fit_projection(vectors: np.ndarray, dim: int, whiten: bool) -> Projection:
    """Fit the ``dim`` directions in which vectors vary most.

    Args:
        vectors: (N, D) floats.
        dim: d, from 1 to D and below N.
        whiten: bring the variance of each to 1.

    Raises:
        ValueError: fewer vectors or columns than directions, or no variance in some that are to be whitened.
    """
    count, width = vectors.shape
    if dim > width:
        raise ValueError(f"dim: {dim} numbers of {width} cannot be; choose at most {width}")
    if dim >= count:
        raise ValueError(
            f"dim: {count} vectors vary in at most {max(count - 1, 0)} directions; fit on more of them, or choose fewer"
        )
    mean = vectors.mean(0, dtype=np.float64)
    covariance = np.zeros((width, width))
    for start in range(0, count, _BLOCK):
        centred = vectors[start : start + _BLOCK] - mean
        covariance += centred.T @ centred
    variances, axes = np.linalg.eigh(covariance / (count - 1))
    variances, axes = variances[::-1][:dim], axes[:, ::-1][:, :dim]
    # A direction has two signs, and libraries choose differently.
    axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(dim)] < 0, -1.0, 1.0)
    if whiten:
        told = int((variances > _LEAST_VARIANCE * max(variances[0], np.finfo(np.float64).tiny)).sum())
        if told < dim:
            raise ValueError(f"dim: {dim} directions to be whitened, and the vectors vary in {told}; choose fewer")
        axes = axes / np.sqrt(variances)
    return Projection(mean.astype(np.float32), np.ascontiguousarray(axes, dtype=np.float32))
