"""Does a data set on disk have the images that its authors published? Are others' and those of a table readable?

The tables are in :mod:`promptreid.datasets.published`.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from promptreid import host
from promptreid.data import strips
from promptreid.data.batch import PathBundle
from promptreid.data.dataset import Record
from promptreid.data.images import is_hidden
from promptreid.datasets.completeness import manifest_folder
from promptreid.datasets.integrity import find_bad_images, manifest, narrow_images, odd_images
from promptreid.datasets.published import PUBLISHED, Count, Splits
from promptreid.datasets.registry import BUILT_IN
from promptreid.datasets.table import NAME, read
from promptreid.datasets.table_rows import TableError
from promptreid.datasets.triples import MODALITIES, missing_modalities, shared_identities
from promptreid.synthetic.manifest import read_manifest

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
        problems: why it could not be read, or the samples and images that are bad.
        notes: what would be a problem in a data set that has none of its kind as published (the counts tell whether
            there is more of it), and 16-bit images that are nearly constant in 8 bit.
        manifest: one hash over all files, see :func:`promptreid.datasets.integrity.manifest`; empty likewise.
        rendered: that the images are a synthetic twin's, and from what it was rendered; empty for others.
    """

    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    manifest: str = ""
    rendered: str = ""

    @property
    def good(self) -> bool:
        """Everything is there and readable."""
        return not self.problems and all(row.agrees for row in self.rows)

    def table(self) -> str:
        """The comparison as text, one line per row."""
        header = f"{'split':<16} {'group':<16} {'ids':>6} {'found':>6} {'samples':>8} {'found':>8}"
        return "\n".join([header, *map(_line, self.rows)])


def check(
    name: str, root: str = "", *, table: str = "", content: bool = False, decode: bool = False, workers: int = 8
) -> Report:
    """Compare a data set with what is published, open every image and hash the list of files.

    Of the data set ``table``, and of those that others have registered, nothing is published: their numbers are notes.

    Args:
        name: a key of ``PUBLISHED``, ``"table"``, or one of :func:`registered_by_others`.
        root: the folder that holds the data set, or the data set's own; of no use for ``"table"``.
        table: the file of ``"table"``.
        content: hash the bytes of the files, too.
        decode: decode every image completely instead of its header.
        workers: threads that read files.

    Raises:
        FileNotFoundError: no such data set at ``root``, or no such table. What is wrong inside of it is a problem of
            the report.
        ValueError: ``table`` is missing or not wanted, or nobody has registered a data set of this name.
    """
    if (name == NAME) != bool(table):
        raise ValueError(f"--table names the file of the data set {NAME!r}: give it with that one, and only then")
    if name == NAME:
        return _check_table(Path(table).expanduser(), content, decode, workers)
    if name not in PUBLISHED:
        return _check_registered(name, root, content, decode, workers)
    published = PUBLISHED[name]
    folder = published.find(root)
    rendered = ""
    try:
        rendered = _rendered(folder)
        splits = published.read(folder)
    except (ValueError, FileNotFoundError) as error:
        return Report(problems=[str(error)], rendered=rendered)
    parts = _parts(splits)
    logger.info("opening %d images in %s", len(parts), folder)
    files = [parts[file] for file in sorted(parts)]
    bad = find_bad_images(files, decode, workers)
    oddities = [*incomplete_samples(splits), *_identities_in_both(splits, *published.disjoint)]
    lists = [path for path in folder.glob(published.lists) if not is_hidden(path.name)] if published.lists else []
    return Report(
        rows=compare(published.counts, splits),
        problems=bad if published.anomalies else [*oddities, *bad],
        notes=[*(oddities if published.anomalies else []), *_notes(files, decode, workers)],
        manifest=manifest(folder, [*map(Path, parts), *lists], content, workers),
        rendered=rendered,
    )


def registered_by_others() -> list[str]:
    """Names of the data sets that were registered with promptreid by whoever else."""
    return [name for name in host.dataset_names() if host.is_ours("dataset", name) and name not in BUILT_IN]


def _rendered(folder: Path) -> str:
    found = read_manifest(manifest_folder(folder))
    if found is None:
        return ""
    recipe = ", ".join(f"{key} {found[key]}" for key in ("like", "ids", "seed", "frames") if key in found)
    return f"SYNTHETIC: {folder} was rendered ({recipe}); these are not the published images"


def _check_registered(name: str, root: str, content: bool, decode: bool, workers: int) -> Report:
    factory = host.dataset_factory(name)
    try:
        data = factory(root=root, mode="gallery", verbose=False)
    except ValueError as error:
        return Report(problems=[str(error)])
    splits = {
        split: [_bundled(data, record) for record in getattr(data, split)] for split in ("train", "query", "gallery")
    }
    return _check_unpublished(splits, [], f"of {name} in {root}", content, decode, workers)


def _bundled(data: Any, record: Record) -> Record:
    """A record with a PathBundle, also of a data set that has plain paths."""
    path, pid, camid = record[:3]
    first = getattr(data, "modalities", MODALITIES)[0]
    return (path if isinstance(path, PathBundle) else PathBundle({first: str(path)}, camid)), pid, camid


def _check_table(table: Path, content: bool, decode: bool, workers: int) -> Report:
    try:
        splits, _, cameras = read(table)
    except TableError as error:
        return Report(problems=error.problems)
    names = {number: f"camera {text}" for number, text in cameras.items()}
    return _check_unpublished(splits, [str(table)], f"of {table}", content, decode, workers, names)


def _check_unpublished(
    splits: Splits,
    lists: list[str],
    place: str,
    content: bool,
    decode: bool,
    workers: int,
    cameras: Mapping[int, str] | None = None,
) -> Report:
    parts = _parts(splits)
    logger.info("opening %d images %s", len(parts), place)
    files = [Path(os.path.abspath(file)) for file in (*lists, *parts)]
    # Of the images of a data set that was copied as a whole, the paths from the folder they share stay the same.
    folder = Path(os.path.commonpath([file.parent for file in files]))
    images = [parts[file] for file in sorted(parts)]
    return Report(
        problems=find_bad_images(images, decode, workers),
        notes=[*_counts(splits, cameras), *incomplete_samples(splits), *_notes(images, decode, workers)],
        manifest=manifest(folder, files, content, workers),
    )


def _notes(files: Sequence[str], decode: bool, workers: int) -> list[str]:
    """What is unusual about images that can be read."""
    return [*narrow_images(files, decode, workers), *odd_images(files, decode, workers)]


def _parts(splits: Splits) -> dict[str, str]:
    """Every image file, with one of the paths that name it or a part of it."""
    paths = (path for records in splits.values() for record in records for path in record[0].paths.values())
    return {strips.file_of(path): path for path in paths if path is not None}


def _counts(splits: Splits, cameras: Mapping[int, str] | None = None) -> list[str]:
    """Identities and samples of each split, and of each camera and modality in it."""
    lines = []
    names = set((cameras or {}).values())
    for split, records in splits.items():
        groups = count(records, cameras)
        ids, samples = groups.pop("all", Count(0, 0))
        shown = sorted(group for group in groups if " " not in group or group in names)
        parts = ", ".join(f"{groups[group].images} {group}" for group in shown)
        lines.append(f"{split}: {ids} identities, {samples} samples ({parts})" if parts else f"{split}: no sample")
    return lines


def incomplete_samples(splits: Splits) -> list[str]:
    """Which samples lack which modality: one text per sample, with the first split that has it."""
    found: dict[str, str] = {}
    for split, records in splits.items():
        for path, *_ in records:
            missing = missing_modalities(path)
            if missing:
                found.setdefault(str(path), f"{split}: {path}: no {' and no '.join(missing)} image has this name")
    return list(found.values())


def _identities_in_both(splits: Splits, train: str = "", test: str = "") -> list[str]:
    if not train:
        return []
    return [f"identity {pid} is in {train} and in {test}" for pid in shared_identities(splits[train], splits[test])]


def compare(expected: Mapping[tuple[str, str], Count], splits: Splits) -> list[Row]:
    """One row per published count."""
    everything = {str(record[0]): record for records in splits.values() for record in records}
    counted = {split: count(records) for split, records in splits.items()}
    counted["all splits"] = count(list(everything.values()))
    nothing = Count(0, 0)
    return [Row(*key, wanted, counted.get(key[0], {}).get(key[1], nothing)) for key, wanted in expected.items()]


def count(records: list[Record], cameras: Mapping[int, str] | None = None) -> dict[str, Count]:
    """Identities and samples of every group of records.

    Args:
        records: of one split.
        cameras: names of the cameras, by their numbers from 0; None for cam1, cam2, ...
    """
    ids: dict[str, set[int]] = defaultdict(set)
    images: dict[str, int] = defaultdict(int)
    for path, pid, *_ in records:
        camera = cameras[path.camera] if cameras else f"cam{path.camera + 1}"
        for group in _groups(path, camera):
            ids[group].add(pid)
            images[group] += 1
    return {group: Count(len(ids[group]), images[group]) for group in images}


def _groups(path: PathBundle, camera: str) -> Iterator[str]:
    yield from ("all", camera)
    for modality in path.paths.keys() - missing_modalities(path):
        yield from (modality, f"{modality} {camera}")
    if not missing_modalities(path):
        yield "complete"


def _line(row: Row) -> str:
    ids = ("-", "-") if row.expected.ids is None else (row.expected.ids, row.found.ids)
    verdict = "" if row.agrees else "  MISMATCH"
    return (f"{row.split:<16} {row.group:<16} {ids[0]:>6} {ids[1]:>6} "
            f"{row.expected.images:>8} {row.found.images:>8}{verdict}")  # fmt: skip
