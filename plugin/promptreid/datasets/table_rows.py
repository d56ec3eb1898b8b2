"""A table of anyone's images, read and checked: every problem of it at once, each with its line."""

from __future__ import annotations

import csv
import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptreid.config.keys import did_you_mean
from promptreid.data.strips import file_of
from promptreid.evaluation.tables import check_table_path, read_parquet

MODALITIES = ("visible", "infrared", "near_infrared", "thermal_infrared")
"""Names of modalities, in the order of their ids."""
SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "query": ("query",),
    "gallery": ("gallery",),
    "test": ("query", "gallery"),
}
"""What a row's ``split`` may be, and the lists in which it then is."""

_LABELS = ("pid", "camid", "split")
_COLUMNS = ("path", *MODALITIES, *_LABELS, "modality", "scene")
_SHOWN = 10  # problems in a message


class TableError(ValueError):
    """What is wrong with a table.

    Attributes:
        problems: each begins with its line (of a Parquet file: its row).
    """

    def __init__(self, file: Path, problems: list[str]) -> None:
        self.problems = problems
        lines = [f"{file}: {problems[0]}"]
        if len(problems) > 1:
            more = len(problems) - _SHOWN
            lines = [f"{file}: {len(problems)} problems", *(f"  {problem}" for problem in problems[:_SHOWN])]
            lines += [f"  and {more} more"] if more > 0 else []
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Row:
    """A sample.

    Attributes:
        place: ``line 7`` or ``row 6``, for messages.
        images: modality -> file, None where it is missing; one modality where the table has a column ``path``.
        pid, camid, scene: as the table has them; the scene is empty where it has none.
        splits: the lists that it is in.
    """

    place: str
    images: dict[str, str | None]
    pid: str
    camid: str
    scene: str
    splits: tuple[str, ...]


def read_rows(file: str | Path, test_only: bool = False) -> list[Row]:
    """The samples of a ``.csv`` or ``.parquet`` file, in its order.

    Args:
        file: the table.
        test_only: images that are trained on alone may be missing.

    Raises:
        FileNotFoundError: no such file.
        TableError: columns, cells or images that are missing or make no sense, and rows that contradict each other.
        ValueError: another suffix, not UTF-8, not CSV, not Parquet, or no pyarrow.
    """
    path = Path(file).expanduser()
    check_table_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table; set data.table to the CSV or Parquet file of your images")
    header, lines = _parquet_lines(path) if path.suffix == ".parquet" else _csv_lines(path)
    names = [name.strip().lower() for name in header]
    problems = list(_header_problems(names))
    if not problems and not lines:
        problems = ["it has columns and no row"]
    if problems:
        raise TableError(path, problems)
    rows = [_row(str(path.parent), names, place, cells, problems) for place, cells in lines]
    found = [row for row in rows if row is not None]
    # What somebody lacks can be told only when every row is understood.
    lacking = [] if problems else list(_without_modality(found))
    needed = [row for row in found if row.splits != ("train",)] if test_only else found
    problems += [*_missing_files(needed), *_repeated(found), *_in_both(found), *lacking]
    if problems:
        raise TableError(path, sorted(problems, key=_line_of))
    return found


Lines = list[tuple[str, list[str]]]
"""Place and cells of each row."""


def _csv_lines(path: Path) -> tuple[list[str], Lines]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            lines, start = [], reader.line_num + 1
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if any(cells):
                    lines.append((f"line {start}", cells))
                start = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{path}: not a CSV file: line {reader.line_num}: {error}") from None
    return header, lines


def _parquet_lines(path: Path) -> tuple[list[str], Lines]:
    columns = read_parquet(path)
    cells = zip(*([_text(value) for value in values] for values in columns.values()), strict=True)
    return list(columns), [(f"row {number}", list(row)) for number, row in enumerate(cells, start=1)]


def _text(value: Any) -> str:
    if value is None or value != value:  # pandas writes NaN for an empty cell
        return ""
    # A column of whole numbers with a gap in it comes as floats.
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()


def _header_problems(names: list[str]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        if name not in _COLUMNS:
            near = difflib.get_close_matches(name, _COLUMNS, n=1, cutoff=0.5)  # names as short as pid, with a slip
            hint = f"; did you mean {near[0]!r}?" if near else ""
            hint = "; separate the columns by commas" if re.search("[;\t]", name) else hint
            yield f"line 1: unknown column {name!r}{hint} (the columns are {', '.join(_COLUMNS)})"
        elif names.count(name) > 1:
            yield f"line 1: {names.count(name)} columns are called {name!r}; keep one"
    for name in _LABELS:
        if name not in names:
            yield f"line 1: the column {name!r} is missing"
    columns = [name for name in MODALITIES if name in names]
    if "path" not in names and not columns:
        yield f"line 1: the column 'path' is missing, or in its place some of {', '.join(MODALITIES)}"
    if "path" in names and columns:
        yield f"line 1: 'path' has one image per row, and {columns[0]!r} is for rows of several: keep one of the two"
    if "modality" in names and columns:
        yield f"line 1: 'modality' says what 'path' is, but here {columns[0]!r} says so itself: take it out"


def _row(folder: str, names: list[str], place: str, cells: list[str], problems: list[str]) -> Row | None:
    if len(cells) != len(names):
        problems.append(f"{place}: {len(cells)} cells, but the header has {len(names)}")
        return None
    row = dict(zip(names, cells, strict=True))
    found = list(_cell_problems(row))
    problems += [f"{place}: {problem}" for problem in found]
    if found:
        return None
    columns = {row.get("modality", "").lower() or "visible": row["path"]} if "path" in row else row
    images = {name: os.path.normpath(os.path.join(folder, columns[name])) if columns[name] else None
              for name in MODALITIES if name in columns}  # fmt: skip
    return Row(place, images, row["pid"], row["camid"], row.get("scene", ""), SPLITS[row["split"].lower()])


def _cell_problems(row: dict[str, str]) -> Iterator[str]:
    for name in _LABELS:
        if not row[name]:
            yield f"{name} is empty"
    for name in ("pid", "camid", "scene"):
        if row.get(name, "").startswith("-") and row[name][1:].isdecimal():
            yield f"{name} {row[name]} is negative; leave out rows of nobody or of nowhere (junk)"
    if row["split"] and row["split"].lower() not in SPLITS:
        near = did_you_mean(row["split"], SPLITS)
        yield f"split {row['split']!r} is none of {', '.join(SPLITS)}{near}"
    modality = row.get("modality", "").lower()
    if modality and modality not in MODALITIES:
        yield f"modality {row['modality']!r} is none of {', '.join(MODALITIES)}{did_you_mean(modality, MODALITIES)}"
    if not any(row.get(name) for name in ("path", *MODALITIES)):
        yield "path is empty" if "path" in row else "no modality has an image"


def _missing_files(rows: list[Row]) -> Iterator[str]:
    # One listing per folder: asking for every file by itself takes minutes on a network file system.
    listed: dict[str, set[str]] = {}
    for row in rows:
        for image in filter(None, row.images.values()):
            folder, name = os.path.split(file_of(image))
            if folder not in listed:
                listed[folder] = set(os.listdir(folder or ".")) if os.path.isdir(folder or ".") else set()
            if name not in listed[folder]:
                yield f"{row.place}: {image}: no such file"


def _repeated(rows: list[Row]) -> Iterator[str]:
    """The same image twice in a list, or of two identities."""
    listed: dict[tuple[str, str, str], Row] = {}
    shown: dict[str, Row] = {}
    for row in rows:
        for modality, image in row.images.items():
            if image is None:
                continue
            first = shown.setdefault(image, row)
            if first.pid != row.pid:
                yield f"{row.place}: {image} shows {row.pid!r} here and {first.pid!r} in {first.place}"
            for split in row.splits:
                before = listed.setdefault((split, modality, image), row)
                if before is not row:
                    yield f"{row.place}: {image} is in {split} already, in {before.place}"


def _in_both(rows: list[Row]) -> Iterator[str]:
    """Identities that are trained and tested on."""
    trained: dict[str, Row] = {}
    for row in rows:
        if "train" in row.splits:
            trained.setdefault(row.pid, row)
    told = set()
    for row in rows:
        if "train" not in row.splits and row.pid in trained and row.pid not in told:
            told.add(row.pid)
            yield (
                f"{row.place}: identity {row.pid!r} is tested here and trained in {trained[row.pid].place}; a test of "
                "it would be far too good: take it out of one of the two"
            )


def _without_modality(rows: list[Row]) -> Iterator[str]:
    """Trained identities that lack a modality, where each sample is one image."""
    modalities = dict.fromkeys(name for row in rows for name in row.images)
    if any(len(row.images) > 1 for row in rows):
        return
    seen: dict[str, set[str]] = {}
    first: dict[str, Row] = {}
    for row in rows:
        if "train" in row.splits:
            seen.setdefault(row.pid, set()).update(row.images)
            first.setdefault(row.pid, row)
    for pid, names in seen.items():
        for name in (name for name in modalities if name not in names):
            yield (
                f"{first[pid].place}: identity {pid!r} has no {name} image in train; cross-modal training needs every "
                "modality of everyone: add some, or take its rows out"
            )


def _line_of(problem: str) -> int:
    return int(problem.split(":")[0].split(" ")[1])
