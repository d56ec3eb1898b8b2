"""Where a table's files are, and how much is trained for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from promptreid.config.keys import did_you_mean
from promptreid.runs.tables.table import Table


@dataclass(frozen=True)
class Places:
    """Where things are.

    Attributes:
        configs: the folder with the rows' configurations.
        out: folder of all runs, and of the tables that are made from the results.
        results: folder of the results: a folder for each table, with one for each row.
        overlays: files that are laid over the configuration of every row.
    """

    configs: Path
    out: Path
    results: Path
    overlays: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Size:
    """How much is trained.

    Attributes:
        seeds: trainings of each row in each world, from ``train.seed`` on.
        worlds: that each row is trained in, from ``data.synthetic.seed`` on.
        jobs: trainings at a time.
        rows: keys of the rows; all of them when empty.

    Raises:
        ValueError: a number below 1.
    """

    seeds: int = 3
    worlds: int = 1
    jobs: int = 1
    rows: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("seeds", "worlds", "jobs"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} {getattr(self, name)}: there has to be at least one")


def of_rows(table: Table, keys: Sequence[str]) -> Table:
    """The table with some of its rows, all of them for no keys.

    Raises:
        ValueError: a key of no row.
    """
    known = [row.key for row in table.rows]
    for key in keys:
        if key not in known:
            near = did_you_mean(key, known)
            raise ValueError(f"--rows {key}: no row of {table.name}{near} (one of {', '.join(known)})")
    return replace(table, rows=tuple(row for row in table.rows if not keys or row.key in keys))
