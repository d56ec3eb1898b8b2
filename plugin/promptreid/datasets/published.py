"""How many images the authors of each data set published, and how to read as many from disk.

A data set gets its check (``tools/check_dataset.py``) with an entry in ``PUBLISHED``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from promptreid.data.dataset import Record
from promptreid.datasets import llcm, regdb, sysu_mm01
from promptreid.datasets.lists import read_ids

Splits = dict[str, list[Record]]


class Count(NamedTuple):
    """Numbers of identities and images; None where nothing is published."""

    ids: int | None
    images: int


@dataclass(frozen=True)
class Published:
    """What is known of a data set.

    Attributes:
        source: where the counts come from.
        find: the data set's folder at or below a root.
        read: the records of every split.
        lists: glob pattern of the list files, relative to the folder.
        counts: (split, group) -> count. A group is ``"all"``, a modality, ``"cam<number on disk>"`` or both of them
            (``"infrared cam3"``); the split ``"all splits"`` holds every image once.
    """

    source: str
    find: Callable[[str], Path]
    read: Callable[[Path], Splits]
    lists: str
    counts: Mapping[tuple[str, str], Count]


def _read_sysu(folder: Path) -> Splits:
    data = sysu_mm01.SYSUMM01(str(folder), verbose=False)
    validated = set(read_ids(folder / "exp" / "val_id.txt"))
    parts: Splits = {"train": [], "val": []}
    for record in data.train:
        parts["val" if int(Path(record[0]).parent.name) in validated else "train"].append(record)
    return {**parts, "train + val": data.train, "query": data.query, "gallery": data.gallery}


def _read_regdb(folder: Path) -> Splits:
    splits: Splits = {}
    for split in range(1, regdb.NUM_SPLITS + 1):
        data = regdb.RegDB(str(folder), split_id=split - 1, verbose=False)
        splits |= {f"split {split} train": data.train, f"split {split} test": data.query + data.gallery}
    return splits


def _read_llcm(folder: Path) -> Splits:
    data = llcm.LLCM(str(folder), verbose=False)
    return {"train": data.train, "test": data.query + data.gallery}


_SYSU = {
    ("train", "all"): Count(296, 30213),
    ("train", "visible"): Count(296, 20284),
    ("train", "infrared"): Count(296, 9929),
    ("val", "all"): Count(99, 3954),
    ("val", "visible"): Count(99, 1974),
    ("val", "infrared"): Count(99, 1980),
    ("train + val", "all"): Count(395, 34167),
    ("train + val", "cam1"): Count(None, 4721),
    ("train + val", "cam2"): Count(None, 5753),
    ("train + val", "cam3"): Count(None, 7909),
    ("train + val", "cam4"): Count(None, 5811),
    ("train + val", "cam5"): Count(None, 5973),
    ("train + val", "cam6"): Count(None, 4000),
    ("query", "all"): Count(96, 3803),
    ("query", "cam3"): Count(93, 1883),
    ("query", "cam6"): Count(96, 1920),
    ("gallery", "all"): Count(96, 6775),
    ("gallery", "cam1"): Count(56, 1374),
    ("gallery", "cam2"): Count(56, 1565),
    ("gallery", "cam4"): Count(94, 1918),
    ("gallery", "cam5"): Count(95, 1918),
    # The authors' README says 30071 and 15792 in all: it counts identities of none of the lists, too.
    ("all splits", "visible"): Count(None, 29033),
    ("all splits", "infrared"): Count(None, 15712),
}

_REGDB = {
    (f"split {split} {half}", modality): Count(206, 2060)
    for split in range(1, regdb.NUM_SPLITS + 1)
    for half in ("train", "test")
    for modality in ("visible", "infrared")
} | {("all splits", modality): Count(None, 4120) for modality in ("visible", "infrared")}

_LLCM = {
    ("train", "all"): Count(713, 30921),
    ("train", "visible"): Count(713, 16946),
    ("train", "infrared"): Count(713, 13975),
    ("test", "all"): Count(351, 15846),
    ("test", "visible"): Count(None, 8680),
    ("test", "infrared"): Count(None, 7166),
    ("test", "infrared cam3"): Count(None, 0),
    ("all splits", "all"): Count(None, 46767),
}

PUBLISHED = {
    "sysu_mm01": Published(
        "the authors' rand_perm_cam.mat and id lists: images per identity and camera",
        sysu_mm01.find_folder, _read_sysu, "exp/*_id.txt", _SYSU),
    "regdb": Published(
        "the ten splits' lists: 412 persons with ten visible and ten infrared images each, halves of 206",
        regdb.find_folder, _read_regdb, "idx/*.txt", _REGDB),
    "llcm": Published(
        "the authors' README; the 13909 test images in the paper's text do not add up to its 46767",
        llcm.find_folder, _read_llcm, "idx/*.txt", _LLCM),
}  # fmt: skip
"""Every data set with a check, by the name of its family."""
