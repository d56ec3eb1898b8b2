"""Tests in which modalities are missing, and the field's table of them.

``M(RGB)`` is a test without any RGB image, of the queries and of the gallery alike; a table of three modalities has six
such conditions and their mean. The two sides may also have different modalities, as MDReID tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from promptreid.evaluation.features import FeatureSet, as_tensor, check_length
from promptreid.evaluation.protocols.base import Protocol
from promptreid.evaluation.results import Results

FULL = "full"
SHORT_NAMES = {"visible": "RGB", "near_infrared": "NIR", "thermal_infrared": "TIR", "infrared": "IR"}
"""Modalities as the field's tables call them."""


@dataclass(frozen=True)
class Condition:
    """Which modalities the queries and the gallery have; the others are missing.

    Attributes:
        modalities: names of all modalities.
        query, gallery: the modalities of either side, as indices into these names, in rising order.

    Raises:
        ValueError: a side with no modality, one that is named twice, or one that does not exist.
    """

    modalities: tuple[str, ...]
    query: tuple[int, ...]
    gallery: tuple[int, ...]

    def __post_init__(self) -> None:
        for side, kept in (("query", self.query), ("gallery", self.gallery)):
            if not kept or sorted(set(kept) & set(range(len(self.modalities)))) != list(kept):
                raise ValueError(
                    f"{side}: {kept} is no selection of the modalities 0..{len(self.modalities) - 1} "
                    f"{self.modalities} in rising order"
                )

    @property
    def name(self) -> str:
        """``full``; ``M(RGB+NIR)``, what is missing; or ``RGB+NIR -> TIR``, what is there on either side."""
        if self.query != self.gallery:
            return f"{self.query_name} -> {self.gallery_name}"
        missing = [number for number in range(len(self.modalities)) if number not in self.query]
        return f"M({self._names(missing)})" if missing else FULL

    @property
    def query_name(self) -> str:
        """The queries' modalities, such as ``RGB+NIR``."""
        return self._names(self.query)

    @property
    def gallery_name(self) -> str:
        """The gallery's modalities."""
        return self._names(self.gallery)

    @property
    def disjoint(self) -> bool:
        """The two sides have no modality in common."""
        return not set(self.query) & set(self.gallery)

    @property
    def compared(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The modalities of queries and gallery that the ranking uses: the shared ones, or all where none is shared."""
        if self.disjoint:
            return self.query, self.gallery
        shared = tuple(number for number in self.query if number in self.gallery)
        return shared, shared

    def _names(self, numbers: Sequence[int]) -> str:
        return "+".join(short_name(self.modalities[number]) for number in numbers)


def short_name(modality: str) -> str:
    """``RGB``, ``NIR``, ``TIR`` or ``IR``; other modalities keep their name."""
    return SHORT_NAMES.get(modality, modality)


def missing_conditions(modalities: Sequence[str]) -> list[Condition]:
    """The field's columns: ``full``, each modality missing, each pair missing and so on, on both sides alike.

    Raises:
        ValueError: fewer than two modalities, of which none can be missing.
    """
    names, everything = tuple(modalities), range(len(modalities))
    if len(names) < 2:
        raise ValueError(f"modalities: of {names} none can be missing; at least two are needed")
    missing = [gone for count in everything for gone in combinations(everything, count)]
    sides = [tuple(number for number in everything if number not in gone) for gone in missing]
    return [Condition(names, side, side) for side in sides]


class Side(NamedTuple):
    """Queries or gallery under a condition.

    Attributes:
        images: those samples that have an image of a modality that is compared.
        left_out: how many samples have none.
    """

    images: FeatureSet
    left_out: int


def side_of(
    images: FeatureSet,
    present: np.ndarray,
    slices: Sequence[slice],
    kept: Sequence[int],
    *,
    pooled: bool = False,
    normalize: bool = True,
) -> Side:
    """A side under a condition, from features that were extracted with all modalities.

    It is what a model with independent parts gives for inputs without the other modalities. Parts of missing images
    count as zero.

    Args:
        images: features with a part for each modality.
        present: (N, M) bool, the modalities that each sample has.
        slices: M places in the features, one per modality.
        kept: the modalities that are compared.
        pooled: take the mean of the parts, each of unit length, rather than the parts side by side, so that two sides
            without a common modality can be compared. This needs parts of equal width, and means something only for
            a model whose modalities share one tower and one projection, so that its parts lie in one space.
        normalize: bring what is left to unit length.

    Raises:
        ValueError: lengths that differ, or pooled parts of different width.
    """
    present = np.asarray(present, dtype=bool)
    check_length("present", len(present), len(images), "the features")
    check_length("slices", len(slices), present.shape[1], "a row of present")
    if images.features is None:
        raise ValueError("images: features are missing")
    rows = np.flatnonzero(present[:, kept].any(axis=1))
    features, there = as_tensor(images.features)[torch.from_numpy(rows)], torch.from_numpy(present[rows])
    parts = [features[:, slices[number]] * there[:, number, None] for number in kept]
    joined = _pooled(parts, there[:, kept]) if pooled else torch.cat(parts, dim=1)
    chosen = replace(images, features=None).select(rows)
    return Side(replace(chosen, features=F.normalize(joined, dim=1) if normalize else joined), len(images) - len(rows))


def _pooled(parts: Sequence[Tensor], there: Tensor) -> Tensor:
    widths = sorted({part.shape[1] for part in parts})
    if len(widths) > 1:
        raise ValueError(f"slices: parts of {widths} values cannot be averaged; they need one space and so one width")
    return sum(F.normalize(part, dim=1) for part in parts) / there.sum(dim=1, keepdim=True)


def evaluate_sides(protocol: Protocol, condition: Condition, query: Side, gallery: Side, **settings: Any) -> Results:
    """A protocol's results under a condition; their note says which, and how many samples were left out.

    Args:
        protocol: any.
        condition: what the sides were made for.
        query, gallery: from :func:`side_of`, or from features that were extracted without the missing modalities.
        settings: further arguments of :meth:`Protocol.evaluate`.

    Raises:
        ValueError: a side is empty, no query has a match, or descriptors that have no dimension in common, as those of
            a model that keeps a place for each modality and whose sides share none.
    """
    for name, side in (("query", query), ("gallery", gallery)):
        if not len(side.images):
            raise ValueError(f"{condition.name}: none of the {side.left_out} {name} samples has such an image")
    if condition.disjoint:
        _check_comparable(condition, query.images, gallery.images)
    results = protocol.evaluate(query.images, gallery.images, **settings)
    note = [results.note] if results.note else []
    left_out = f"{query.left_out} queries and {gallery.left_out} gallery samples without any of these left out"
    note += [condition.name] + [left_out] * bool(query.left_out or gallery.left_out)
    return replace(results, note="; ".join(note))


def evaluate_condition(
    protocol: Protocol,
    condition: Condition,
    query: FeatureSet,
    gallery: FeatureSet,
    present: tuple[np.ndarray, np.ndarray],
    slices: Sequence[slice],
    *,
    normalize: bool = True,
    **settings: Any,
) -> Results:
    """A protocol's results under a condition, from features extracted once with all modalities.

    Sides with common modalities are compared on these, whatever else one of them has. Sides without any are compared by
    the means of their parts; see ``pooled`` of :func:`side_of` for what that asks of the model.

    Args:
        protocol, condition: any.
        query, gallery: features with a part for each modality.
        present: of queries and gallery, (N, M) bool: the modalities that each sample has.
        slices: M places in the features, one per modality.
        normalize: bring what is compared to unit length.
        settings: further arguments of :meth:`Protocol.evaluate`.

    Raises:
        ValueError: as :func:`side_of` and :func:`evaluate_sides`.
    """
    sides = [
        side_of(images, there, slices, kept, pooled=condition.disjoint, normalize=normalize)
        for images, there, kept in zip((query, gallery), present, condition.compared, strict=True)
    ]
    return evaluate_sides(protocol, condition, *sides, **settings)


def _check_comparable(condition: Condition, query: FeatureSet, gallery: FeatureSet) -> None:
    used = [(as_tensor(images.features) != 0).any(dim=0) for images in (query, gallery) if images.features is not None]
    if len(used) == 2 and not (used[0] & used[1]).any():
        raise ValueError(
            f"{condition.name}: the two sides' descriptors have no dimension in common, because the model keeps a "
            "place for each modality; compare sides that share a modality"
        )
