"""Does a data set on disk have the images that its authors published?

The tables are in :mod:`promptreid.datasets.published`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from promptreid.data.dataset import Record
from promptreid.datasets.integrity import find_bad_images, manifest
from promptreid.datasets.published import PUBLISHED, Count, Splits

logger = logging.getLogger(__name__)


class Row(NamedTuple):
    """One line of the comparison."""

    split: str
    group: str
    expected: Count
    found: Count

    @property
    def agrees(self) -> bool:
        """Whether the published numbers were found."""
        return self.found.images == self.expected.images and self.expected.ids in (None, self.found.ids)


@dataclass
class Report:
    """The outcome of a check.

    Attributes:
        rows: the comparison of the counts; empty when the data set could not be read.
        problems: why it could not be read, or the images that are bad.
        manifest: one hash over all files, see :func:`promptreid.datasets.integrity.manifest`; empty likewise.
    """

    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    manifest: str = ""

    @property
    def good(self) -> bool:
        """Everything is there and readable."""
        return not self.problems and all(row.agrees for row in self.rows)

    def table(self) -> str:
        """The comparison as text, one line per row."""
        header = f"{'split':<16} {'group':<16} {'ids':>6} {'found':>6} {'images':>8} {'found':>8}"
        return "\n".join([header, *map(_line, self.rows)])


def check(name: str, root: str, *, content: bool = False, decode: bool = False, workers: int = 8) -> Report:
    """Compare a data set with what is published, open every image and hash the list of files.

    Args:
        name: a key of ``PUBLISHED``.
        root: the folder that holds the data set, or the data set's own.
        content: hash the bytes of the files, too.
        decode: decode every image completely instead of its header.
        workers: threads that read files.

    Raises:
        FileNotFoundError: no such data set at ``root``. What is wrong inside of it is a problem of the report.
    """
    published = PUBLISHED[name]
    folder = published.find(root)
    try:
        splits = published.read(folder)
    except (ValueError, FileNotFoundError) as error:
        return Report(problems=[str(error)])
    images = sorted({Path(record[0]) for records in splits.values() for record in records})
    logger.info("opening %d images in %s", len(images), folder)
    problems = find_bad_images(images, decode, workers)
    files = [*images, *folder.glob(published.lists)]
    return Report(compare(published.counts, splits), problems, manifest(folder, files, content, workers))


def compare(expected: Mapping[tuple[str, str], Count], splits: Splits) -> list[Row]:
    """One row per published count."""
    everything = {str(record[0]): record for records in splits.values() for record in records}
    counted = {split: count(records) for split, records in splits.items()}
    counted["all splits"] = count(list(everything.values()))
    nothing = Count(0, 0)
    return [Row(*key, wanted, counted.get(key[0], {}).get(key[1], nothing)) for key, wanted in expected.items()]


def count(records: list[Record]) -> dict[str, Count]:
    """Identities and images of every group of records."""
    ids: dict[str, set[int]] = defaultdict(set)
    images: dict[str, int] = defaultdict(int)
    for path, pid, *_ in records:
        for group in _groups(next(iter(path.paths)), f"cam{path.camera + 1}"):
            ids[group].add(pid)
            images[group] += 1
    return {group: Count(len(ids[group]), images[group]) for group in images}


def _groups(modality: str, camera: str) -> Iterator[str]:
    yield from ("all", modality, camera, f"{modality} {camera}")


def _line(row: Row) -> str:
    ids = ("-", "-") if row.expected.ids is None else (row.expected.ids, row.found.ids)
    verdict = "" if row.agrees else "  MISMATCH"
    return (f"{row.split:<16} {row.group:<16} {ids[0]:>6} {ids[1]:>6} "
            f"{row.expected.images:>8} {row.found.images:>8}{verdict}")  # fmt: skip
