"""Anyone's images, from a table of their paths and labels; ``docs/datasets.md`` describes its columns."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from promptreid.data.batch import PathBundle
from promptreid.data.dataset import ModalDataset, NoRecords, Record
from promptreid.datasets.table_protocols import choose
from promptreid.datasets.table_rows import MODALITIES, Row, read_rows
from promptreid.datasets.triples import log_incomplete, relabelled, usable_samples

logger = logging.getLogger(__name__)

NAME = "table"
MOST_CAMERAS = 1000
_SHOWN = 5  # queries in a message
_LONGEST = 18  # digits that a 64-bit number has room for

Splits = dict[str, list[Record]]


class Table(ModalDataset):
    """Anyone's images for torchreid: a CSV or Parquet file with a row for each sample.

    With a column ``path`` a sample is one image, with columns named like modalities it is one image of each.

    Args:
        root: not used; paths are relative to the table's folder.
        table: the file.
        incomplete: ``"skip"`` or ``"keep"`` samples that lack a modality.
        test_only: leave the train rows out; their images need not be there.
        kwargs: torchreid's own.

    Raises:
        FileNotFoundError: no such file.
        TableError: the problems of the file, with their lines.
        ValueError: no file is named, it can't be read, or it lacks rows for what it is used for.
    """

    options = frozenset({"table", "incomplete", "test_only"})
    train: list[Record]

    def __init__(
        self, root: str = "", table: str = "", incomplete: str = "skip", test_only: bool = False, **kwargs: Any
    ) -> None:
        if not table:
            raise ValueError(
                f"data.table is empty, but data.sources or data.targets names the data set {NAME!r}: set data.table to "
                "the CSV or Parquet file of its images"
            )
        splits, self.modalities, cameras = read(table, test_only)
        self.num_cameras = max(cameras) + 1
        self.images_per_sample = _images_per_sample(splits)
        splits |= {"train": []} if test_only else {}
        chosen, lacking = usable_samples(splits, incomplete, table)
        _check_use(chosen, "query" if test_only else kwargs.get("mode", "train"), table)
        if kwargs.get("mode", "train") == "train":
            log_incomplete(lacking, incomplete, table)
            _warn_of_strangers(chosen, table)
        protocols = choose(chosen["query"], chosen["gallery"]) if chosen["query"] and chosen["gallery"] else None
        if protocols is not None:
            self.protocols, self.named_protocols = protocols.standard, protocols.named
            self.missing_protocols, self.no_standard = protocols.missing, protocols.no_standard
        super().__init__(
            train=relabelled(chosen["train"]) or NoRecords(),
            query=chosen["query"] or NoRecords(),
            gallery=chosen["gallery"] or NoRecords(),
            **kwargs,
        )

    def combine_all(self) -> None:
        """As torchreid's, with a sample that is both query and gallery taken once, and queries of strangers left out.

        The identity of a stranger is nowhere in the gallery, from which torchreid takes the classes.
        """
        known = {record[1] for record in self.gallery}
        self._junk_pids = sorted({record[1] for record in self.query} - known)
        super().combine_all()
        once: dict[tuple[Any, ...], Record] = {}
        for record in self.train:
            once.setdefault((record[1], *record[0].paths.items()), record)
        self.train = list(once.values())


def read(table: str | Path, test_only: bool = False) -> tuple[Splits, tuple[str, ...], dict[int, str]]:
    """The samples of a table, incomplete ones too, with identities as numbers.

    Args:
        table: the file.
        test_only: images that are trained on alone may be missing.

    Returns:
        records of ``train``, ``query`` and ``gallery`` in the order of the rows, the modalities, and what the table
        calls the camera of each number.

    Raises:
        FileNotFoundError, TableError, ValueError: as :func:`~promptreid.datasets.table_rows.read_rows`.
    """
    rows = read_rows(table, test_only)
    pids = numbers(row.pid for row in rows)
    cameras = numbers((row.camid for row in rows), MOST_CAMERAS)
    scenes = numbers(row.scene for row in rows if row.scene)
    splits: Splits = {"train": [], "query": [], "gallery": []}
    for row in rows:
        camera = cameras[row.camid]
        labels = {"scene": scenes[row.scene]} if row.scene else {}
        record = (PathBundle(row.images, camera, labels), pids[row.pid], camera)
        for split in row.splits:
            splits[split].append(record)
    return splits, _modalities(rows), {number: text for text, number in cameras.items()}


def numbers(texts: Iterable[str], most: int = 10**_LONGEST) -> dict[str, int]:
    """A number for each text, which depends on the set of texts alone.

    Where all are whole numbers they stand for themselves, or for their ranks when one of them isn't below ``most``;
    otherwise the sorted texts are counted from 0.
    """
    distinct = sorted(set(texts))
    if not all(text.isascii() and text.isdecimal() and len(text) <= _LONGEST for text in distinct):
        return {text: number for number, text in enumerate(distinct)}
    values = {text: int(text) for text in distinct}
    if max(values.values(), default=0) < most:
        return values
    ranks = {value: rank for rank, value in enumerate(sorted(set(values.values())))}
    return {text: ranks[value] for text, value in values.items()}


def _modalities(rows: list[Row]) -> tuple[str, ...]:
    present = {name for row in rows for name in row.images}
    if len(rows[0].images) == 1 and not any("train" in row.splits for row in rows):
        # Tested alone, it has to count modalities as the data set that was trained on, which begins with visible.
        present.add(MODALITIES[0])
    return tuple(name for name in MODALITIES if name in present)


def _images_per_sample(splits: Splits) -> int:
    return next(len(record[0].paths) for records in splits.values() for record in records)


def _check_use(splits: Splits, mode: str, table: str) -> None:
    key, needed = ("data.sources", ("train",)) if mode == "train" else ("data.targets", ("query", "gallery"))
    for split in needed:
        if not splits[split]:
            raise ValueError(f"{table}: {key} names the data set {NAME!r}, but no row has the split {split}; add some")


def _warn_of_strangers(splits: Splits, table: str) -> None:
    """Queries whose identity is nowhere in the gallery count in no protocol."""
    known = {record[1] for record in splits["gallery"]}
    strangers = [str(record[0]) for record in splits["query"] if record[1] not in known]
    if strangers:
        logger.warning(
            "%s: the identities of %d of %d queries are nowhere in the gallery; they don't count: %s",
            table, len(strangers), len(splits["query"]), ", ".join(strangers[:_SHOWN]),
        )  # fmt: skip
