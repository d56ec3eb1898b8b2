"""A table from its folder in the results: all row folders in there, checked against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptreid.engine.checkpoints.resume_check import listed
from promptreid.runs.tables.record import FORMAT, RECORD, RowRecord, read_json, read_row

TABLE_FILE = "table.json"
_WORLD = ("data.synthetic.", "data.sources", "data.targets", "data.split_id", "test.protocols")
"""Beginnings of the keys that say what is rendered, trained on and tested: one table, one world."""
_FIELDS = {"format": int, "title": str, "note": str, "rows": list, "reference": str, "missing": bool, "opts": list}


@dataclass(frozen=True)
class Published:
    """A table and its rows as they are in files.

    Attributes:
        name: of the folder.
        title, note: what it is about, and what a reader should know.
        reference: key of the row that others are compared with; the first row's when empty.
        missing: the rows were tested under missing modalities.
        opts: ``KEY VALUE ...`` that all rows were trained with beside what their files say.
        rows: in the table's order, then those that others have added, by key.
    """

    name: str
    title: str
    note: str
    reference: str
    missing: bool
    opts: tuple[str, ...]
    rows: tuple[RowRecord, ...]


def read_published(folder: Path) -> Published:
    """The table in a folder: what ``table.json`` says of it, and every folder in there with a ``row.json``.

    Raises:
        ValueError: no table or no row, files that cannot be read, two rows of one name, a comparison with a row that
            isn't there, or rows of different worlds, seeds or configurations of the world.
    """
    about = read_json(folder / TABLE_FILE)
    for name, kind in _FIELDS.items():
        if not isinstance(about.get(name), kind):
            raise ValueError(
                f"{folder / TABLE_FILE}: {name} is {about.get(name)!r}, expected {kind.__name__}; write it again"
            )
    if about["format"] != FORMAT:
        raise ValueError(f"{folder / TABLE_FILE}: format {about['format']!r}, read is {FORMAT}; write it again")
    found = {file.parent.name: read_row(file.parent) for file in sorted(folder.glob(f"*/{RECORD}"))}
    keys = [key for key in about["rows"] if key in found] + sorted(set(found) - set(about["rows"]))
    rows = tuple(found[key] for key in keys)
    if not rows:
        raise ValueError(f"{folder}: no row in there; train some with promptreid table {folder.name}")
    _check_names(folder, rows, about["rows"])
    check_alike(folder, rows)
    return Published(
        folder.name, about["title"], about["note"], about["reference"], about["missing"], tuple(about["opts"]), rows
    )


def world_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a configuration that all rows of a table have in common."""
    return {key: value for key, value in settings.items() if key.startswith(_WORLD)}


def check_alike(folder: Path, rows: Sequence[RowRecord]) -> None:
    """Refuse rows that cannot be compared.

    Raises:
        ValueError: with what differs between the first row and another one.
    """
    first = rows[0]
    seeds = next((row.seeds for row in rows if row.trained), [])
    for row in rows[1:]:
        mine, other = _compared(first, seeds), _compared(row, seeds)
        differences = [
            f"{name}: {mine.get(name)!r} and {other.get(name)!r}"
            for name in dict.fromkeys([*mine, *other])
            if mine.get(name) != other.get(name)
        ]
        if differences:
            raise ValueError(
                f"{folder}: rows {first.key!r} and {row.key!r} cannot be compared ({listed(differences)}); train both "
                "in the same worlds with the same seeds, or move one of the folders to a table of its own"
            )


def _compared(row: RowRecord, seeds: list[int]) -> dict[str, Any]:
    """An untrained row has no seeds, and is compared with whatever seeds the others have."""
    own = {"worlds": row.worlds, "seeds": row.seeds if row.trained else seeds, "renderer": row.renderer}
    return {**own, "tests": row.tests, **world_of(row.settings)}


def _check_names(folder: Path, rows: Sequence[RowRecord], planned: Sequence[str]) -> None:
    named: dict[str, str] = {}
    for row in rows:
        if row.name in named:
            raise ValueError(
                f"{folder}: rows {named[row.name]!r} and {row.key!r} are both called {row.name!r}; give one of them "
                f"another name in its {RECORD}"
            )
        named[row.name] = row.key
    for row in rows:
        known = dict.fromkeys([*planned, *named.values()])
        if row.against and row.against not in known:
            raise ValueError(
                f"{folder / row.key / RECORD}: against is {row.against!r}, which is no row of this table; there are "
                f"{', '.join(known)}"
            )
