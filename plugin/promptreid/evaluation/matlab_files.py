"""MATLAB files of features, as the field's evaluators in MATLAB and Python exchange them; read, never written.

Either a side at a time, ``query_f``, ``query_label``, ``query_cam`` and the same of ``gallery``, or the columns of
:class:`~promptreid.evaluation.features_io.FeatureTable` under their own names. The format holds numbers and texts; of
other MATLAB objects in a file nothing is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from promptreid.evaluation.features import check_length
from promptreid.evaluation.matlab_reader import check_format_4, read_format_5, version_of

SIDES = ("query", "gallery")
NAMES = {
    "features": ("f", "feat", "features"),
    "pids": ("label", "pids"),
    "camids": ("cam", "camids"),
    "scenes": ("scenes",),
    "modality": ("modality",),
    "paths": ("paths",),
}
"""Column -> what may stand behind ``query_`` and ``gallery_``."""

_NEEDED = ("features", "pids", "camids")
_NUMBERS = ("pids", "camids", "scenes")


def read_matlab(path: Path, columns: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The columns that a file has, and the names of all its variables, each with its size.

    Args:
        path: an existing file.
        columns: names of the columns of a table.

    Raises:
        ValueError: not a MATLAB file of version 4 to 7, one side lacks what the other has, or values that do not fit.
    """
    sizes = read_variables(path, ())[1]
    listed = [f"{name} ({' x '.join(map(str, size))})" for name, size in sorted(sizes.items())]
    if "features" in sizes or not any(name.startswith(f"{side}_") for name in sizes for side in SIDES):
        names = {name: name for name in columns if name in sizes}
        values = read_variables(path, list(names))[0]
        return {name: _column(name, values[name], name) for name in names}, listed
    names_of = {side: _names_of(path, side, sizes, listed) for side in SIDES}
    values = read_variables(path, [name for names in names_of.values() for name in names.values()])[0]
    sides = [{column: _column(column, values[name], name) for column, name in names_of[side].items()} for side in SIDES]
    for side, names in zip(sides, names_of.values(), strict=True):
        _check(side, names)
    _check_widths(sides, [names["features"] for names in names_of.values()])
    joined = {column: np.concatenate([side[column] for side in sides]) for column in sides[0]}
    return {**joined, "split": np.repeat(SIDES, [len(side["pids"]) for side in sides])}, listed


def _names_of(path: Path, side: str, sizes: Mapping[str, Any], listed: Sequence[str]) -> dict[str, str]:
    """Column -> the name under which a side has it."""
    found = {}
    for column, endings in NAMES.items():
        known = [f"{side}_{ending}" for ending in endings]
        wanted = column in _NEEDED or any(f"{other}_{ending}" in sizes for other in SIDES for ending in endings)
        name = next((name for name in known if name in sizes), None)
        if name is not None:
            found[column] = name
        elif wanted:
            raise ValueError(
                f"{path}: key {known[0]!r} is missing; looked for {', '.join(known)}; it has {', '.join(listed)}"
            )
    return found


def _column(column: str, values: np.ndarray, name: str) -> np.ndarray:
    if column == "features":
        if values.ndim != 2 or not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
            raise ValueError(f"{name}: expected a matrix of numbers, got {values.dtype} of shape {values.shape}")
        return values if np.issubdtype(values.dtype, np.floating) else values.astype(np.float32)
    if column in _NUMBERS:
        return _whole_numbers(name, values)
    if column == "split" and np.issubdtype(values.dtype, np.number):
        return _whole_numbers(name, values)
    return np.array([_text(name, text) for text in values.ravel()], dtype=str)


def _text(name: str, value: Any) -> str:
    """A text, of a cell too; an empty matrix is an empty one."""
    content = np.asarray(value)
    if content.size > 1 or (content.size and content.dtype.kind not in "US"):
        raise ValueError(f"{name}: expected texts, got {content.dtype} of shape {content.shape}")
    return str(content.item()).rstrip() if content.size else ""


def _whole_numbers(name: str, values: np.ndarray) -> np.ndarray:
    flat = values.ravel()
    if not np.issubdtype(flat.dtype, np.number) or np.iscomplexobj(flat):
        raise ValueError(f"{name}: expected whole numbers, got {values.dtype} of shape {values.shape}")
    broken = flat[~(np.isfinite(flat) & (flat == np.round(flat)))]
    if len(broken):
        raise ValueError(f"{name}: expected whole numbers, got {broken[0]}")
    if len(flat) and not (flat.min() >= -(2.0**63) and flat.max() < 2.0**63):
        raise ValueError(f"{name}: {flat.max()} is beyond whole numbers of 64 bit")
    return flat.astype(np.int64)


def _check(side: Mapping[str, np.ndarray], names: Mapping[str, str]) -> None:
    rows, count = side["features"].shape, len(side["pids"])
    if rows[0] != count and rows[1] == count:
        raise ValueError(
            f"{names['features']}: {rows[0]} x {rows[1]} numbers for {count} labels; one row per image is needed, so "
            "transpose the matrix"
        )
    for column, values in side.items():
        check_length(names[column], len(values), rows[0], names["features"])


def _check_widths(sides: Sequence[Mapping[str, np.ndarray]], names: Sequence[str]) -> None:
    query, gallery = (side["features"].shape[1] for side in sides)
    if query != gallery:
        raise ValueError(f"{names[1]}: {gallery} features per image, {names[0]} has {query}")


def read_variables(path: Path, names: Sequence[str] | None) -> tuple[dict[str, np.ndarray], dict[str, tuple[int, ...]]]:
    """Some variables of a MATLAB file, all where ``names`` is None, and the size of each that is in it.

    Raises:
        ValueError: not a MATLAB file of version 4 to 7, or a variable that is neither numbers, texts nor cells.
    """
    try:
        version = version_of(path)
        if version == "7.3":
            raise ValueError("version 7.3 is not read")
        if version == "4":
            return _read_format_4(path, names)
        found = read_format_5(path)
        wanted = [name for name in found if names is None or name in names]
        return {name: found[name].value() for name in wanted}, {name: one.shape for name, one in found.items()}
    except Exception as error:  # scipy raises half a dozen types on broken files
        raise ValueError(f"{path}: not a MATLAB file that can be read ({error}); save it with '-v7'") from None


def _read_format_4(path: Path, names: Sequence[str] | None) -> tuple[dict[str, np.ndarray], dict[str, tuple[int, ...]]]:
    """By scipy, whose reader of this format is Python, once the headers are known to fit the file."""
    from scipy import io

    check_format_4(path)
    sizes = {name: size for name, size, _ in io.whosmat(str(path), appendmat=False)}
    wanted = [name for name in sizes if names is None or name in names]
    loaded = io.loadmat(str(path), appendmat=False, variable_names=wanted)
    return {name: np.asarray(loaded[name]) for name in wanted}, sizes
