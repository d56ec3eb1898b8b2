"""Triples as samples of one image each: for retrieval from one band to another, and for training towards it."""

from __future__ import annotations

from functools import partial
from typing import Any

from promptreid.data.batch import PathBundle
from promptreid.data.dataset import DatasetFactory, ModalDataset, NoRecords, Record
from promptreid.evaluation.missing.across import across_modalities

SUFFIX = "_bands"


class OneBandSamples(ModalDataset):
    """A data set of triples whose images are samples of their own, in training and in tests.

    Whatever trains on visible-infrared data trains on it: a sampler of K images per band, a model of one image, losses
    across bands. Each ordered pair of bands is a protocol under the name that it has for whole triples, such as
    ``rgbnt201 visible-to-thermal_infrared``, with the same rule: what a query must not see is that of the data set.

    Args:
        whole: the data set of triples.
        kwargs: its own.

    Raises:
        ValueError, FileNotFoundError: as the data set of triples; an identity that lacks a band in training.
    """

    def __init__(self, whole: DatasetFactory, **kwargs: Any) -> None:
        base = whole(**{**kwargs, "combineall": False, "verbose": False})
        self.modalities, self.num_cameras = base.modalities, base.num_cameras
        self.camera_space = base.camera_space or type(base).__name__
        self.split, self.incomplete_note = base.split, base.incomplete_note
        self.protocols = tuple(across_modalities(base.protocols[0], base.modalities))
        self._junk_pids, self._shares = base._junk_pids, getattr(base, "shares_identities_with", None)
        super().__init__(_single(base.train), _single(base.query), _single(base.gallery), **kwargs)

    def shares_identities_with(self, split: str) -> bool:
        """As the data set of triples; see :func:`promptreid.engine.feature_extraction.check_split`."""
        return bool(self._shares(split)) if self._shares is not None else bool(self.split) and self.split != split


def variants(triples: dict[str, DatasetFactory]) -> dict[str, DatasetFactory]:
    """Name -> factory of the same data sets as samples of one image each.

    Args:
        triples: data sets of triples by name.
    """
    return {f"{name}{SUFFIX}": partial(OneBandSamples, whole=factory) for name, factory in triples.items()}


def _single(records: list[Record]) -> list[Record]:
    if not records:
        return NoRecords()
    return [
        (PathBundle({name: file}, path.camera, path.labels), *rest)
        for path, *rest in records
        for name, file in path.paths.items()
        if file is not None
    ]
