"""Features with their labels: the input of every protocol."""

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
        left_out: (N,) texts: why an image is neither a query nor in a gallery, such as that it cannot be read; empty
            for the others. Galleries are drawn with it, as from the complete set, and it is taken out afterwards; its
            features mean nothing. None where nothing is left out.

    Raises:
        ValueError: the lengths differ, labels are not integers, or two images have one name.
    """

    features: Array | None
    pids: np.ndarray
    camids: np.ndarray
    scenes: np.ndarray | None = None
    names: np.ndarray | None = None
    left_out: np.ndarray | None = None

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
        if self.left_out is not None:
            object.__setattr__(self, "left_out", np.asarray(self.left_out, dtype=object))
            check_length("left_out", len(self.left_out), len(self.pids), "pids")

    def __len__(self) -> int:
        return len(self.pids)

    def select(self, rows: np.ndarray) -> FeatureSet:
        """These images only."""
        features = self.features
        if features is not None:
            features = features[torch.from_numpy(rows)] if isinstance(features, torch.Tensor) else features[rows]
        scenes, names, left_out = (
            None if values is None else values[rows] for values in (self.scenes, self.names, self.left_out)
        )
        return FeatureSet(features, self.pids[rows], self.camids[rows], scenes, names, left_out)

    def used(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Those of ``rows``, or of all, that are not left out, in their order."""
        rows = np.arange(len(self)) if rows is None else rows
        return rows if self.left_out is None else rows[self.left_out[rows] == ""]


def left_out_note(query: FeatureSet, gallery: FeatureSet) -> str:
    """How many images are left out; empty where none is. A sample that is query and in the gallery is one image."""
    sides = [[reason for reason in ([] if s.left_out is None else s.left_out) if reason] for s in (query, gallery)]
    count = len({*sides[0], *sides[1]})
    if not count:
        return ""
    images = "image" if count == 1 else "images"
    queries = "query" if len(sides[0]) == 1 else "queries"
    return f"{count} {images} left out ({len(sides[0])} {queries}, {len(sides[1])} of the gallery)"


def _unique_names(values: Sequence[str] | np.ndarray) -> np.ndarray:
    names, counts = np.unique(np.asarray(values, dtype=str), return_counts=True)
    if len(names) and counts.max() > 1:
        raise ValueError(f"names: '{names[counts.argmax()]}' names {counts.max()} images; each needs its own name")
    return np.asarray(values, dtype=str)
