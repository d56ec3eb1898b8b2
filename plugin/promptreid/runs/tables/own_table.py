"""A table of one's own, described by a YAML file::

title: Low-rank adaptation beside a plain ViT
plugins: [own_method.py]
rows:
  vit: {name: plain ViT, config: own.yaml}
  low_rank: {name: low-rank, config: own.yaml, set: {model: {name: low_rank_vit_tiny}, low_rank: {rank: 8}}}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from promptreid.config.keys import did_you_mean, flatten
from promptreid.config.load import read_yaml
from promptreid.config.plugins import load_plugins, resolved
from promptreid.runs.tables.table import Row, Table

_TABLE = ("title", "note", "plugins", "reference", "missing", "rows")
_ROW = ("name", "config", "set", "trained", "against")


def read_table(path: Path) -> Table:
    """The table that a file describes, called as the file is.

    Keys of the table: ``title``, ``rows`` (by key, which names the folder of a row's trainings), and if wished
    ``note``, ``plugins``, ``reference`` (key of the row that others are compared with, and whose training step is 1)
    and ``missing`` (test under missing modalities). Keys of a row: ``config`` (a YAML file, relative to this one), and
    if wished ``name``, ``set`` (what the row is about, nested as in a configuration), ``trained`` and ``against`` (key
    of the row that this one is compared with).

    Raises:
        FileNotFoundError: no such file, or no such configuration.
        ValueError: a key that there is none of, or a row without a configuration.
    """
    tree = read_yaml(path)
    _check(tree, _TABLE, f"{path}")
    rows = tree.get("rows")
    if not isinstance(rows, Mapping) or not rows:
        raise ValueError(f"{path}: rows is empty; give each row a key with its config")
    named = tree.get("plugins", [])
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise ValueError(f"{path}: plugins {named!r}: expected a list of files or modules")
    plugins = resolved(named, path.parent)
    for where, key in _compared(tree, rows):
        if key not in rows:
            raise ValueError(f"{path}: {where} {key!r} is no row{did_you_mean(key, rows)} (one of {', '.join(rows)})")
    load_plugins(plugins)  # their models and keys have to be known before rows are checked
    return Table(
        path.stem,
        str(tree.get("title", path.stem)),
        tuple(_row(path, str(key), row, plugins) for key, row in rows.items()),
        reference=str(tree.get("reference", "")),
        note=str(tree.get("note", "")),
        missing=bool(tree.get("missing", False)),
    )


def _compared(tree: Mapping[str, Any], rows: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where the file names a row that others are compared with, and its key."""
    if tree.get("reference"):
        yield "reference", str(tree["reference"])
    for key, row in rows.items():
        if isinstance(row, Mapping) and row.get("against"):
            yield f"rows.{key}: against", str(row["against"])


def _row(path: Path, key: str, row: Any, plugins: list[str]) -> Row:
    where = f"{path}: rows.{key}"
    if not isinstance(row, Mapping) or "config" not in row:
        raise ValueError(f"{where}: config is missing; name the YAML file that the row trains with")
    _check(row, _ROW, where)
    overrides = row.get("set", {})
    if not isinstance(overrides, Mapping):
        raise ValueError(f"{where}: set {overrides!r}: expected keys with values, nested as in a configuration")
    if "\0" in str(row["config"]):
        raise ValueError(f"{where}: config {row['config']!r} is no path; name a YAML file")
    config = (path.parent / str(row["config"])).resolve()
    if not config.is_file():
        raise FileNotFoundError(f"{where}: config {config}: no such file; its path is relative to {path}")
    changes = {**({"plugins": plugins} if plugins else {}), **flatten(overrides)}
    trained, against = bool(row.get("trained", True)), str(row.get("against", ""))
    return Row(key, str(row.get("name", key)), str(config), changes, trained=trained, against=against)


def _check(tree: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in tree:
        if key not in known:
            raise ValueError(f"{where}: unknown key {key!r}{did_you_mean(str(key), known)} (one of {', '.join(known)})")
