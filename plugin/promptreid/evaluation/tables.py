"""Tables of columns in CSV or Parquet files."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from promptreid.evaluation.parquet_files import import_arrow, read_arrow
from promptreid.files import atomic_path

Columns = dict[str, np.ndarray]


def save_table(columns: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Write equally long columns to a ``.csv`` or ``.parquet`` file, whole or not at all; floats keep all their digits.

    Raises:
        ValueError: another suffix, or Parquet without pyarrow.
    """
    path = Path(path)
    check_table_path(path)
    with atomic_path(path) as part:
        if path.suffix == ".parquet":
            arrow, parquet = import_arrow(path)
            parquet.write_table(arrow.table({name: values.tolist() for name, values in columns.items()}), part)
        else:
            _write_csv(columns, part)


def load_table(path: str | Path, types: Mapping[str, type]) -> Columns:
    """Read the columns that ``types`` names, as arrays of these types; others are left out.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another suffix, a column that is missing, or a value that does not parse.
    """
    path = Path(path)
    check_table_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table")
    rows = read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    missing = [name for name in types if name not in rows]
    if missing:
        raise ValueError(f"{path}: column {missing[0]!r} is missing; it has {list(rows)}")
    return {name: _convert(path, name, rows[name], kind) for name, kind in types.items()}


def check_table_path(path: str | Path) -> None:
    """Raise ``ValueError`` now rather than after the work, if a table could not be written for its file's suffix."""
    path = Path(path)
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{path}: tables end in .csv or .parquet")
    if path.suffix == ".parquet":
        import_arrow(path)


def _write_csv(columns: Mapping[str, np.ndarray], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))


def _read_csv(path: Path) -> dict[str, list[Any]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a CSV file in UTF-8 ({error}); write it again") from None
    short = next((number for number, row in enumerate(rows, start=2) if len(row) != len(header)), None)
    if short is not None:
        raise ValueError(f"{path}: line {short} has {len(rows[short - 2])} fields, its header {len(header)}")
    return {name: [row[place] for row in rows] for place, name in enumerate(header)}


def read_parquet(path: Path) -> dict[str, list[Any]]:
    """A Parquet file's columns as Python values.

    Raises:
        ValueError: no pyarrow, or not a Parquet file; see :func:`~promptreid.evaluation.parquet_files.read_arrow`.
    """
    table = read_arrow(path)
    try:
        return dict(table.to_pydict())
    except Exception as error:  # times and numbers that Python has no values for
        raise ValueError(f"{path}: a value that Python does not have ({error}); write it as text") from None


def _convert(path: Path, name: str, values: list[Any], kind: type) -> np.ndarray:
    try:
        return np.array([kind(value) for value in values], dtype=kind)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: column {name!r}: {error}") from None
