"""Projection of features to points in a plane: t-SNE, UMAP or principal components."""

from __future__ import annotations

import os

import numpy as np

METHODS = ("tsne", "umap", "pca")
TITLES = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA"}
COMPONENTS = 50
"""Principal components that t-SNE and UMAP start from."""
PERPLEXITY = 30.0
_BLOCK = 4096


def principal_components(features: np.ndarray, count: int) -> np.ndarray:
    """The first components of features (N, D), as (N, min(count, N, D)) float32; signs are fixed.

    By the covariance, in blocks of rows, so that memory stays at one copy of the outcome.
    """
    mean = np.zeros(features.shape[1])
    for block in _blocks(features):
        mean += block.sum(axis=0, dtype=np.float64)
    mean /= len(features)
    covariance = np.zeros((features.shape[1],) * 2)
    for block in _blocks(features):
        centred = block - mean
        covariance += centred.T @ centred
    count = min(count, *features.shape)
    axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :count]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(count)])
    return np.concatenate([((block - mean) @ axes).astype(np.float32) for block in _blocks(features)])


def project(features: np.ndarray, method: str = "tsne", seed: int = 0) -> np.ndarray:
    """Points in a plane, (N, 2) float64; the same features and seed give the same points.

    t-SNE (openTSNE, perplexity 30 or (N - 1) / 3 where that is less, start from the first two components) and UMAP
    (umap-learn, 15 neighbours) see the first 50 principal components.

    Args:
        features: (N, D), finite.
        method: one of :data:`METHODS`.
        seed: of t-SNE and UMAP.

    Raises:
        ValueError: another method, a package that is not installed, or fewer than three points.

    References:
        Van der Maaten and Hinton, Visualizing Data using t-SNE, JMLR 2008; Poličar et al., openTSNE, 2024; McInnes et
        al., UMAP, 2018.
    """
    if method not in METHODS:
        raise ValueError(f"method: {method!r} is not one of {', '.join(METHODS)}")
    if len(features) < 3:
        raise ValueError(f"an embedding needs at least 3 images, got {len(features)}")
    reduced = principal_components(features, 2 if method == "pca" else COMPONENTS)
    if reduced.shape[1] < 2:
        reduced = np.pad(reduced, ((0, 0), (0, 2 - reduced.shape[1])))
    if method == "pca":
        return reduced.astype(np.float64)
    return (_tsne if method == "tsne" else _umap)(reduced, seed)


def _tsne(reduced: np.ndarray, seed: int) -> np.ndarray:
    try:
        from openTSNE import TSNE
    except ImportError:
        raise ValueError("t-SNE needs openTSNE: pip install 'promptreid[visual]', or choose pca") from None
    perplexity = min(PERPLEXITY, (len(reduced) - 1) / 3)
    settings = {"initialization": "pca", "n_jobs": os.cpu_count() or 1, "random_state": seed}
    return np.asarray(TSNE(perplexity=perplexity, **settings).fit(reduced))


def _umap(reduced: np.ndarray, seed: int) -> np.ndarray:
    try:
        from umap import UMAP
    except ImportError:
        raise ValueError("UMAP needs umap-learn: pip install 'promptreid[visual]', or choose tsne or pca") from None
    neighbours = min(15, len(reduced) - 1)
    small = len(reduced) <= 4  # its spectral start needs more points than that
    return np.asarray(
        UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1, init="random" if small else "spectral").fit_transform(
            reduced
        ),
        dtype=np.float64,
    )


def _blocks(features: np.ndarray) -> list[np.ndarray]:
    return [features[start : start + _BLOCK] for start in range(0, len(features), _BLOCK)]
