"""Features with their labels: what every protocol evaluates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

Array: TypeAlias = torch.Tensor | np.ndarray
Ids: TypeAlias = torch.Tensor | np.ndarray | Sequence[int]


def as_tensor(values: Array) -> torch.Tensor:
    """``values`` as a tensor without gradient; shares memory where numpy allows writing."""
    if isinstance(values, torch.Tensor):
        return values.detach()
    array = np.ascontiguousarray(values)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def as_ids(name: str, values: Ids) -> np.ndarray:
    """Integer labels as an int64 array of shape (N,).

    Raises:
        ValueError: ``values`` is not one-dimensional or not made of integers; the message starts with ``name``.
    """
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected a flat list of integers, got an array of shape {array.shape}")
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name}: expected integers, got {array.dtype}")
    return array.astype(np.int64)


def check_length(name: str, found: int, expected: int, other: str) -> None:
    """Raise ``ValueError`` unless ``found`` equals ``expected``, the length of ``other``."""
    if found != expected:
        raise ValueError(f"{name}: {found} entries, but {other} has {expected}")


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features and labels of N images, each extracted once. Lists and tensors of labels become int64 arrays.

    Attributes:
        features: (N, D) floats; None where only the labels matter, as when the distances are given.
        pids: (N,) identities.
        camids: (N,) 0-based cameras, or whatever else the data set excludes on.
        scenes: (N,) scenes, for protocols that ask for them.
        names: (N,) texts that tell the images apart, such as their paths; for results per query.

    Raises:
        ValueError: the lengths differ, labels are not integers, or two images have one name.
    """

    features: Array | None
    pids: np.ndarray
    camids: np.ndarray
    scenes: np.ndarray | None = None
    names: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("pids", "camids", "scenes"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_ids(name, getattr(self, name)))
                check_length(name, len(getattr(self, name)), len(self.pids), "pids")
        if self.features is not None:
            check_length("features", len(self.features), len(self.pids), "pids")
        if self.names is not None:
            object.__setattr__(self, "names", _unique_names(self.names))
            check_length("names", len(self.names), len(self.pids), "pids")

    def __len__(self) -> int:
        return len(self.pids)

    def select(self, rows: np.ndarray) -> FeatureSet:
        """These images only."""
        features = self.features
        if features is not None:
            features = features[torch.from_numpy(rows)] if isinstance(features, torch.Tensor) else features[rows]
        scenes, names = (None if values is None else values[rows] for values in (self.scenes, self.names))
        return FeatureSet(features, self.pids[rows], self.camids[rows], scenes, names)


def _unique_names(values: Sequence[str] | np.ndarray) -> np.ndarray:
    names, counts = np.unique(np.asarray(values, dtype=str), return_counts=True)
    if len(names) and counts.max() > 1:
        raise ValueError(f"names: '{names[counts.argmax()]}' names {counts.max()} images; each needs its own name")
    return np.asarray(values, dtype=str)
