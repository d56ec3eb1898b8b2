"""Distances between the features of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from promptreid.models.precision import at_least_float32


def pairwise_euclidean(features: Tensor) -> Tensor:
    """Euclidean distances (B, B) of features (B, D), at least in float32 whatever the precision of the features.

    Computed from differences, not from a matrix product, whose rounding drowns small distances; the gradient at
    distance 0 is 0.
    """
    features = at_least_float32(features)
    return torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")


def zero_of(features: Tensor) -> Tensor:
    """Differentiable loss of 0, for batches without anything to compare."""
    return (at_least_float32(features) * 0.0).sum()  # a sum first could be infinite, and 0 times that is no number


def check_batch(features: Tensor, targets: Tensor) -> None:
    """Refuse features that are not (B, D) or targets that are not (B,).

    Raises:
        ValueError: Other shapes.
    """
    if features.ndim != 2 or targets.shape != features.shape[:1]:
        raise ValueError(
            f"expected features (B, D) and targets (B,), got {tuple(features.shape)} and {tuple(targets.shape)}"
        )
