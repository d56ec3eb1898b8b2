"""WMVEID863 (Zheng et al., 2023; also "WMVeID863", "MSVWild863", "Flare"): vehicles at night and in glare, eight views.

On disk, with the same names in the three folders of a vehicle::

    {train, query, test} / 0406 / {vis, ni, th} / v7_n0_s999_004.jpg              "gallery" will do for "test"

The name gives view, night flag, scene (999: unknown) and frame. The published set is not quite clean, and is read as it
is:

* a few samples lack a modality; by default they are left out;
* seven vehicles are both trained and tested on, so there are 868 in all; a warning names them;
* the name of one image (vehicle 0865) is malformed. A name that does not parse gives no view to exclude on, so its
  sample is left out, counted and logged, where other data sets would stop. A split without one good name is an error.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from promptreid.data.dataset import Record
from promptreid.datasets import folders
from promptreid.datasets.completeness import Part
from promptreid.datasets.msvr310 import FOLDERS
from promptreid.datasets.pairing import Sample, in_identity_folders, parse_number, parse_stem
from promptreid.datasets.triples import (
    TRAIN,
    Splits,
    TripleDataset,
    folders_to_read,
    missing_modalities,
    record_of,
)
from promptreid.evaluation.protocols import MarketProtocol

logger = logging.getLogger(__name__)

VIEWS = range(8)

_NAME = re.compile(r"v(?P<view>[0-9])_n(?P<night>[0-9])_s(?P<scene>[0-9]+)_(?P<frame>[0-9]+)")
_FORM = "v7_n0_s999_004.jpg (view, night, scene, frame)"


class WMVEID863(TripleDataset):
    """WMVEID863 for torchreid.

    Args:
        root: the folder that holds ``WMVEID863``, or that folder itself.
        incomplete: ``"skip"`` or ``"keep"`` samples that lack a modality.
        test_only: leave the training images unread; they need not be there.
        kwargs: torchreid's own.

    Raises:
        FileNotFoundError: the folder or a split is missing.
        ValueError: another layout, no name of a split parses, an unknown view, what :class:`TripleDataset` refuses.
    """

    family = "wmveid863"
    num_cameras = len(VIEWS)
    protocols = (MarketProtocol("wmveid863"),)
    publishes_overlap = True

    def __init__(self, root: str = "", incomplete: str = "skip", test_only: bool = False, **kwargs: Any) -> None:
        folder = find_folder(root, test_only)
        super().__init__(read(folder, test_only), incomplete, folder=folder, test_only=test_only, **kwargs)

    def _parts(self, splits: Splits, group: str) -> list[Part]:
        test = len(distinct([*splits["query"], *splits["gallery"]]))
        parts = self._part("distinct test samples", "test", test, group)
        return [*self._part(TRAIN, "train", len(splits["train"]), group), *parts]


def find_folder(root: str | Path, test_only: bool = False) -> Path:
    """The data set's folder at or below ``root``; ``FileNotFoundError`` when it isn't there."""
    names = ("WMVEID863", "WMVeID863", "wmveid863", "MSVWild863", "Flare", "flare")
    return folders.find_folder(root, "WMVEID863", names, ("train", "query"), ("query",) if test_only else ())


def read(folder: Path, test_only: bool = False) -> dict[str, list[Record]]:
    """All samples of every split, or of those that are tested; incomplete ones too, with their folders' identities."""
    gallery = "gallery" if folders.matches(folder, "gallery") else "test"
    names = folders_to_read({"train": "train", "query": "query", "gallery": gallery}, test_only)
    return {split: _read_split(folders.child(folder, name)) for split, name in names.items()}


def distinct(records: Sequence[Record]) -> list[Record]:
    """The records of distinct names, the one with the most modalities of each.

    Whether the queries are copies of gallery samples is not known, and only distinct names were counted.
    """
    samples: dict[tuple[int, str], Record] = {}
    for record in sorted(records, key=lambda record: len(missing_modalities(record[0]))):
        samples.setdefault((record[1], Path(record[0]).stem), record)
    return list(samples.values())


def _read_split(split: Path) -> list[Record]:
    samples = in_identity_folders(split, FOLDERS)
    good = [sample for sample in samples if _NAME.fullmatch(sample.stem)]
    strangers = [sample for sample in samples if not _NAME.fullmatch(sample.stem)]
    if not good:
        parse_stem(_NAME, strangers[0], _FORM)
    if strangers:
        logger.warning("%d samples left out, their names are not of the form %s: %s ...", len(strangers), _FORM,
                       strangers[0].place)  # fmt: skip
    return [_record(sample) for sample in good]


def _record(sample: Sample) -> Record:
    found = parse_stem(_NAME, sample, _FORM)
    view = parse_number("view", found["view"], VIEWS, sample)  # counts from 0 on disk
    return record_of(sample, int(sample.owner), view, {"night": int(found["night"]), "scene": int(found["scene"])})
