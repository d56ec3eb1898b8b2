"""Tables whose trainings take no time, see ``toy_trainings``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from toy_trainings import toy_training

from promptreid.runs.tables import jobs, publish, run_table
from promptreid.runs.tables.costs import Cost
from promptreid.runs.tables.definitions import RGBNT
from promptreid.runs.tables.places import Places, Size
from promptreid.runs.tables.table import Row, Table

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
COMMIT = "a" * 40
ROWS = (
    Row("a", "Row A", RGBNT, {"train.lr": 0.01}, trained=False),
    Row("bb", "Row B", RGBNT, {"train.weight_decay": 0.1}),
    Row("cccc", "Row C", RGBNT, {"train.weight_decay": 0.2}, against="bb"),
)
TOY = Table("toy", "A toy", ROWS, reference="bb", note="A note.")
SIZE = Size(seeds=2, worlds=3)
OPTS = ("data.workers", "0")


def use_toy_trainings(patch: pytest.MonkeyPatch, commit: str = COMMIT) -> None:
    """From now on trainings, costs and the commit are toys."""
    patch.setattr(jobs, "complete_training", lambda training: toy_training(training, commit))
    patch.setattr(publish, "cost_of", lambda cfg, folders: Cost(int(1e4 * cfg.train.weight_decay), 2e6, cfg.train.lr))
    patch.setattr(run_table, "code_commit", lambda: commit)
    patch.setattr(jobs, "code_commit", lambda: commit)


def places(folder: Path) -> Places:
    return Places(CONFIGS, folder / "out", folder / "results")


def run_toy(
    folder: Path,
    table: Table = TOY,
    size: Size = SIZE,
    opts: Sequence[str] = OPTS,
    **more: Any,
) -> Any:
    return run_table.run_table(table, places(folder), size, opts, **more)
