"""Queries and gallery of a test as if modalities were missing from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from promptreid.data.batch import PathBundle
from promptreid.data.dataset import ModalDataset
from promptreid.engine.feature_extraction import part_of
from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.missing.conditions import Condition, Side, evaluate_sides, side_of
from promptreid.evaluation.results import Results

Extract = Callable[[Any, bool, str, "tuple[int, ...] | None"], FeatureSet]
"""A loader, whether to normalise, what the progress bar calls it, and the modalities that the model is shown."""

SPLITS = ("query", "gallery")


class ModalitySides:
    """Queries and gallery of a data set, each extracted once for all conditions, or once for each set of modalities.

    A model whose ``modality_slices(M)`` says where in a descriptor each modality's own part is, runs once; any other,
    or one that answers None, once for each set of modalities that a side has.

    Args:
        model: that is tested.
        loaders: of ``query`` and ``gallery``, of a :class:`ModalDataset` whose samples have several modalities.
        normalize: bring what is compared to unit length.
        extract: makes features.
    """

    def __init__(self, model: Any, loaders: dict[str, Any], normalize: bool, extract: Extract) -> None:
        self._loaders, self._normalize, self._extract = loaders, normalize, extract
        datasets = [loaders[split].dataset for split in SPLITS]
        self._present = {split: _present(data) for split, data in zip(SPLITS, datasets, strict=True)}
        self._all = tuple(range(len(datasets[0].modalities)))
        # Where a sample is one image, its descriptor has no parts: each set of modalities is images of its own.
        single = datasets[0].images_per_sample == 1
        slices_of = None if single else getattr(model, "modality_slices", None)
        self._slices: list[slice] | None = None if slices_of is None else slices_of(len(self._all))
        self._same_images = _keys(datasets[0]) == _keys(datasets[1])
        self._extracted: dict[tuple[str, tuple[int, ...]], FeatureSet] = {}

    def extract(self, condition: Condition) -> None:
        """Make the features that a condition needs, unless they are there."""
        for split, kept in zip(SPLITS, condition.compared, strict=True):
            self._features(split, self._all if self._slices is not None else kept)

    def evaluate(self, protocol: Any, condition: Condition, **settings: Any) -> Results:
        """The results under a condition; see :func:`promptreid.evaluation.missing.conditions.evaluate_sides`."""
        return evaluate_sides(protocol, condition, *self.sides(condition), **settings)

    def sides(self, condition: Condition) -> tuple[Side, Side]:
        """Queries and gallery; ``names`` of their images are the numbers of the samples in their lists."""
        query, gallery = (
            self._side(split, kept, condition.disjoint) for split, kept in zip(SPLITS, condition.compared, strict=True)
        )
        return query, gallery

    def extracted(self) -> list[FeatureSet]:
        """What was extracted so far."""
        return list(self._extracted.values())

    def _side(self, split: str, kept: tuple[int, ...], pooled: bool) -> Side:
        present = self._present[split]
        if self._slices is None:
            rows = np.flatnonzero(present[:, kept].any(axis=1))
            images = replace(self._features(split, kept), names=rows.astype(str))
            return Side(images, len(present) - len(images))
        images = replace(self._features(split, self._all), names=np.arange(len(present)).astype(str))
        return side_of(images, present, self._slices, kept, pooled=pooled, normalize=self._normalize)

    @torch.no_grad()
    def _features(self, split: str, kept: tuple[int, ...]) -> FeatureSet:
        """Features of the samples that have at least one of these modalities, made as if they had no other."""
        source = "gallery" if self._same_images else split
        if (source, kept) not in self._extracted:
            loader = part_of(self._loaders[source], np.flatnonzero(self._present[source][:, kept].any(axis=1)))
            # A part that is cut out of the descriptor is brought to unit length afterwards.
            normalize = self._normalize and self._slices is None
            masked = None if kept == self._all else kept
            self._extracted[source, kept] = self._extract(loader, normalize, source, masked)
        return self._extracted[source, kept]


def _bundle(dataset: ModalDataset, path: str) -> dict[str, str | None]:
    return path.paths if isinstance(path, PathBundle) else {dataset.modalities[0]: path}


def _present(dataset: ModalDataset) -> np.ndarray:
    """(N, M) bool: the modalities that each sample has."""
    bundles = [_bundle(dataset, record[0]) for record in dataset.data]
    return np.array([[bundle.get(name) is not None for name in dataset.modalities] for bundle in bundles])


def _keys(dataset: ModalDataset) -> list[Any]:
    """What tells whether two lists of records are of the same images, with the same labels."""
    return [(_bundle(dataset, path), pid, camid) for path, pid, camid, *_ in dataset.data]
