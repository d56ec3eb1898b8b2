"""RGBNT100 and RGBN300 (Li et al., AAAI 2020): vehicles in eight cameras, all modalities of a sample in one strip.

On disk::

    rgbir / {bounding_box_train, query, bounding_box_test} / 0548_c0002_000.jpg

A file is 768 x 128 pixels: RGB, near and thermal infrared, each 256 wide. RGBN300 has no thermal part: 512 x 128. The
queries are copies of gallery samples; what a query does not see, its own identity in its own camera, includes them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from promptreid.data.dataset import Record
from promptreid.datasets import folders
from promptreid.datasets.completeness import Part
from promptreid.datasets.pairing import Sample, in_strips, parse_number, parse_stem
from promptreid.datasets.triples import MODALITIES, Splits, TripleDataset, folders_to_read, record_of
from promptreid.evaluation.protocols import MarketProtocol

CAMERAS = range(1, 9)
SPLITS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}

_NAME = re.compile(r"(?P<pid>[0-9]+)_c(?P<camera>[0-9]+)_(?P<frame>[0-9]+)")
_FORM = "0548_c0002_000.jpg (identity, camera, frame)"


class RGBNT100(TripleDataset):
    """RGBNT100 for torchreid.

    Args:
        root: the folder that holds ``RGBNT100/rgbir``, or one of these two.
        test_only: leave the training images unread; they need not be there.
        kwargs: torchreid's own.

    Raises:
        FileNotFoundError: the folder or a split is missing.
        ValueError: another layout, a name that does not parse, what :class:`TripleDataset` refuses.
    """

    num_cameras = len(CAMERAS)
    protocols = (MarketProtocol("rgbnt100"),)
    family = "rgbnt100"
    folder_name = "RGBNT100"

    def __init__(self, root: str = "", test_only: bool = False, **kwargs: Any) -> None:
        folder = find_folder(root, self.folder_name, test_only)
        splits = read(folder, self.modalities, test_only)
        super().__init__(splits, folder=folder, test_only=test_only, **kwargs)


class RGBN300(RGBNT100):
    """RGBN300 for torchreid: :class:`RGBNT100` with three times the vehicles and no thermal images."""

    modalities = MODALITIES[:2]
    images_per_sample = 2
    protocols = (MarketProtocol("rgbn300"),)
    family = "rgbn300"
    folder_name = "RGBN300"

    def _parts(self, splits: Splits, group: str) -> list[Part]:
        if not splits["train"]:
            return []  # of the gallery alone nothing is published
        return self._part(
            "samples in train and gallery", "train + gallery", len(splits["train"]) + len(splits["gallery"])
        )


def find_folder(root: str | Path, name: str = "RGBNT100", test_only: bool = False) -> Path:
    """The folder of a data set's splits at or below ``root``; ``FileNotFoundError`` when it isn't there."""
    places = (f"{name}/rgbir", f"{name.lower()}/rgbir", name, name.lower(), "rgbir")
    tested = (SPLITS["query"], SPLITS["gallery"]) if test_only else ()
    return folders.find_folder(root, name, places, (SPLITS["train"],), tested)


def read(folder: Path, modalities: tuple[str, ...] = MODALITIES, test_only: bool = False) -> dict[str, list[Record]]:
    """All samples of every split, with the identities of their names.

    Args:
        folder: the one of the splits.
        modalities: the parts of a strip, from left to right.
        test_only: leave the training's out.
    """
    return {
        split: [_record(sample) for sample in in_strips(folders.child(folder, name), modalities)]
        for split, name in folders_to_read(SPLITS, test_only).items()
    }


def _record(sample: Sample) -> Record:
    found = parse_stem(_NAME, sample, _FORM)
    camera = parse_number("camera", found["camera"], CAMERAS, sample) - 1
    return record_of(sample, int(found["pid"]), camera)
