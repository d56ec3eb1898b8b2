"""How many samples the authors of each data set published, and how to read as many from disk.

A data set gets its check (``tools/check_dataset.py``) with an entry in ``PUBLISHED``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from promptreid.data.dataset import Record
from promptreid.datasets import llcm, market_mm, msvr310, regdb, rgbnt100, rgbnt201, sysu_mm01, wmveid863
from promptreid.datasets.counts import COUNTS, Count
from promptreid.datasets.folders import child
from promptreid.datasets.lists import read_ids
from promptreid.datasets.triples import MODALITIES

Splits = dict[str, list[Record]]


@dataclass(frozen=True)
class Published:
    """What is known of a data set.

    Attributes:
        source: where the counts come from.
        find: the data set's folder at or below a root.
        read: the records of every split.
        lists: glob pattern of the list files, relative to the folder; "" where there are none.
        counts: (split, group) -> count, as in :mod:`promptreid.datasets.counts`.
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


_QUIET: dict[str, Any] = {"verbose": False, "mode": "gallery"}
"""What is missing is told by the comparison, so the data set needn't."""


def _read_sysu(folder: Path) -> Splits:
    data = sysu_mm01.SYSUMM01(str(folder), **_QUIET)
    validated = set(read_ids(child(child(folder, "exp"), "val_id.txt")))
    parts: Splits = {"train": [], "val": []}
    for record in data.train:
        parts["val" if int(Path(record[0]).parent.name) in validated else "train"].append(record)
    return {**parts, "train + val": data.train, "query": data.query, "gallery": data.gallery}


def _read_regdb(folder: Path) -> Splits:
    splits: Splits = {}
    for split in range(1, regdb.NUM_SPLITS + 1):
        data = regdb.RegDB(str(folder), split_id=split - 1, **_QUIET)
        splits |= {f"split {split} train": data.train, f"split {split} test": data.query + data.gallery}
    return splits


def _read_llcm(folder: Path) -> Splits:
    data = llcm.LLCM(str(folder), **_QUIET)
    return {"train": data.train, "test": data.query + data.gallery}


def _read_strips(name: str, modalities: tuple[str, ...]) -> tuple[Callable[[str], Path], Callable[[Path], Splits]]:
    def read(folder: Path) -> Splits:
        splits = rgbnt100.read(folder, modalities)
        return {**splits, "train + gallery": splits["train"] + splits["gallery"]}

    return partial(rgbnt100.find_folder, name=name), read


def _read_wmveid(folder: Path) -> Splits:
    splits = wmveid863.read(folder)
    test = wmveid863.distinct(splits["query"] + splits["gallery"])
    return {**splits, "test": test, "train + test": splits["train"] + test}


PUBLISHED = {
    "sysu_mm01": Published(
        "the authors' rand_perm_cam.mat and id lists: images per identity and camera",
        sysu_mm01.find_folder, _read_sysu, "exp/*_id.txt", COUNTS["sysu_mm01"]),
    "regdb": Published(
        "the ten splits' lists: 412 persons with ten visible and ten infrared images each, halves of 206",
        regdb.find_folder, _read_regdb, "idx/*.txt", COUNTS["regdb"]),
    "llcm": Published(
        "the authors' README; the 13909 test images in the paper's text do not add up to its 46767",
        llcm.find_folder, _read_llcm, "idx/*.txt", COUNTS["llcm"]),
    "rgbnt201": Published(
        "file names that public repositories ship; 201 identities and 4787 triples are the paper's totals",
        rgbnt201.find_folder, rgbnt201.read, "", COUNTS["rgbnt201"], ("train", "test")),
    "rgbnt100": Published(
        "file names that public repositories ship; 17250 triples are the paper's total",
        *_read_strips("RGBNT100", MODALITIES), "", COUNTS["rgbnt100"], ("train", "gallery")),
    "rgbn300": Published(
        "the authors' README: 300 identities and 50125 pairs",
        *_read_strips("RGBN300", MODALITIES[:2]), "", COUNTS["rgbn300"],
        ("train", "gallery")),
    "msvr310": Published(
        "file names that public repositories ship; 310 identities and 2087 triples are the paper's totals",
        msvr310.find_folder, msvr310.read, "", COUNTS["msvr310"], ("train", "gallery")),
    "wmveid863": Published(
        "names in public lists of captions; 4709 complete triples are the paper's total, its 863 identities are 868",
        wmveid863.find_folder, _read_wmveid, "", COUNTS["wmveid863"], ("train", "test"), anomalies=True),
    "market_mm": Published(
        "Market-1501 without its junk (identity -1), of which it is made; the gallery has distractors (identity 0)",
        market_mm.find_folder, market_mm.read, "", COUNTS["market_mm"], ("train", "gallery")),
}  # fmt: skip
"""Every data set with a check, by the name of its family."""
