"""How many samples the authors of each data set published, and how to read as many from disk.

A data set gets its check (``tools/check_dataset.py``) with an entry in ``PUBLISHED``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from promptreid.data.dataset import Record
from promptreid.datasets import llcm, market_mm, msvr310, regdb, rgbnt100, rgbnt201, sysu_mm01, wmveid863
from promptreid.datasets.lists import read_ids
from promptreid.datasets.triples import MODALITIES, missing_modalities

Splits = dict[str, list[Record]]


class Count(NamedTuple):
    """Numbers of identities and samples (of one image, or of one per modality); None where nothing is published."""

    ids: int | None
    images: int


@dataclass(frozen=True)
class Published:
    """What is known of a data set.

    Attributes:
        source: where the counts come from.
        find: the data set's folder at or below a root.
        read: the records of every split.
        lists: glob pattern of the list files, relative to the folder; "" where there are none.
        counts: (split, group) -> count. A group is ``"all"``, ``"complete"`` (no modality is missing), a modality,
            ``"cam<1-based number>"`` or both of them (``"infrared cam3"``); the split ``"all splits"`` holds every
            sample once.
        disjoint: two splits that should have no identity in common; empty where the parser sees to that.
        anomalies: incomplete samples and identities in both splits are in the published set too.
    """

    source: str
    find: Callable[[str], Path]
    read: Callable[[Path], Splits]
    lists: str
    counts: Mapping[tuple[str, str], Count]
    disjoint: tuple[()] | tuple[str, str] = ()
    anomalies: bool = False


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


def _read_strips(name: str, modalities: tuple[str, ...]) -> tuple[Callable[[str], Path], Callable[[Path], Splits]]:
    def read(folder: Path) -> Splits:
        splits = rgbnt100.read(folder, modalities)
        return {**splits, "train + gallery": splits["train"] + splits["gallery"]}

    return partial(rgbnt100.find_folder, name=name), read


def _read_wmveid(folder: Path) -> Splits:
    splits = wmveid863.read(folder)
    # Whether the queries are copies of gallery samples is not known; the counts are those of distinct names.
    samples: dict[tuple[int, str], Record] = {}
    for record in sorted(splits["query"] + splits["gallery"], key=lambda record: len(missing_modalities(record[0]))):
        samples.setdefault((record[1], Path(record[0]).stem), record)
    test = list(samples.values())
    return {**splits, "test": test, "train + test": splits["train"] + test}


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

_RGBNT201 = {
    ("train", "all"): Count(171, 3951),
    ("train", "complete"): Count(171, 3951),
    ("train", "cam1"): Count(None, 2592),
    ("train", "cam2"): Count(None, 1142),
    ("train", "cam3"): Count(None, 88),
    ("train", "cam4"): Count(None, 129),
    ("test", "all"): Count(30, 836),
    ("test", "complete"): Count(30, 836),
    ("test", "cam1"): Count(30, 365),
    ("test", "cam2"): Count(30, 471),
    ("all splits", "all"): Count(201, 4787),
}

_RGBNT100 = {
    ("train", "all"): Count(50, 8675),
    ("query", "all"): Count(50, 1715),
    ("gallery", "all"): Count(50, 8575),
    ("train + gallery", "all"): Count(100, 17250),
}

_MSVR310 = {
    ("train", "all"): Count(155, 1032),
    ("train", "complete"): Count(155, 1032),
    ("query", "all"): Count(52, 591),
    ("query", "complete"): Count(52, 591),
    ("gallery", "all"): Count(155, 1055),
    ("gallery", "complete"): Count(155, 1055),
}

_WMVEID863 = {
    ("train", "all"): Count(603, 3483),
    ("train", "complete"): Count(603, 3481),
    ("test", "all"): Count(272, 1232),
    ("test", "complete"): Count(272, 1228),
    ("test", "visible"): Count(None, 1228),
    ("test", "near_infrared"): Count(None, 1232),
    ("test", "thermal_infrared"): Count(None, 1231),
    ("train + test", "all"): Count(868, 4715),
    ("train + test", "complete"): Count(868, 4709),
}

_MARKET_MM = {
    (split, group): count
    for split, count in (("train", Count(751, 12936)), ("query", Count(750, 3368)), ("gallery", Count(751, 15913)))
    for group in ("all", "complete")
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
    "rgbnt201": Published(
        "file names that public repositories ship; 201 identities and 4787 triples are the paper's totals",
        rgbnt201.find_folder, rgbnt201.read, "", _RGBNT201, ("train", "test")),
    "rgbnt100": Published(
        "file names that public repositories ship; 17250 triples are the paper's total",
        *_read_strips("RGBNT100", MODALITIES), "", _RGBNT100, ("train", "gallery")),
    "rgbn300": Published(
        "the authors' README: 300 identities and 50125 pairs",
        *_read_strips("RGBN300", MODALITIES[:2]), "", {("train + gallery", "all"): Count(300, 50125)},
        ("train", "gallery")),
    "msvr310": Published(
        "file names that public repositories ship; 310 identities and 2087 triples are the paper's totals",
        msvr310.find_folder, msvr310.read, "", _MSVR310, ("train", "gallery")),
    "wmveid863": Published(
        "names in public lists of captions; 4709 complete triples are the paper's total, its 863 identities are 868",
        wmveid863.find_folder, _read_wmveid, "", _WMVEID863, ("train", "test"), anomalies=True),
    "market_mm": Published(
        "Market-1501 without its junk (identity -1), of which it is made; the gallery has distractors (identity 0)",
        market_mm.find_folder, market_mm.read, "", _MARKET_MM, ("train", "gallery")),
}  # fmt: skip
"""Every data set with a check, by the name of its family."""
