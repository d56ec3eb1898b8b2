"""From the finished runs of a row to its folder in the results, and what forbids to write there."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from promptreid.config import dump_config
from promptreid.config.for_others import without_paths
from promptreid.evaluation.tables import Columns
from promptreid.files import write_text
from promptreid.runs.tables.costs import Cost, cost_of
from promptreid.runs.tables.extension import extended
from promptreid.runs.tables.made_with import made_with
from promptreid.runs.tables.published import TABLE_FILE
from promptreid.runs.tables.record import (
    CONFIG,
    FORMAT,
    RECORD,
    RowRecord,
    RunRecord,
    digest_of,
    pack_queries,
    read_row,
    write_row,
)
from promptreid.runs.tables.rows import HARMLESS, Training, query_scores, run_scores
from promptreid.runs.tables.table import Row, Table

logger = logging.getLogger(__name__)


def publish_row(
    folder: Path, table: Table, cfg: Any, trainings: Sequence[Training], extends: RowRecord | None = None
) -> None:
    """Write a row's folder; where the same runs are in there already, it stays as it is.

    Args:
        folder: of the row, in that of its table.
        table: which the row is of.
        cfg: the row's configuration, in none of its worlds.
        trainings: all of its runs, finished; those that ``extends`` lacks, where that is given.
        extends: the record in the folder, whose runs the row keeps.

    Raises:
        ValueError: the folder holds results of another commit, which these do not extend.
    """
    row, config = trainings[0].row, without_paths(dump_config(cfg))
    tests, queries, runs = _outcomes(trainings)
    content = {
        **_about(table, cfg, trainings),
        "runs": runs,
        "tests": tests,
        "queries_sha256": hashlib.sha256(pack_queries(queries)).hexdigest(),
    }
    if extends is None:
        before = _record_there(folder)
        if before is not None and _says(before, content) and (folder / CONFIG).read_text(encoding="utf-8") == config:
            return
        check_commits(before, folder, content["commits"])
    cost = cost_of(trainings[0].cfg, [training.folder for training in trainings]) if row.trained else Cost()
    costs = {"trained_parameters": cost.trained, "kept_bytes": cost.kept, "step_seconds": cost.step}
    record = RowRecord(**content, costs=costs, queries=queries)
    write_row(folder, record if extends is None else extended(extends, record), config)
    logger.info("%s is written", folder)


def keep_row(folder: Path, table: Table, row: Row, record: RowRecord, found: Path) -> None:
    """Write a row's folder from a record that has all of its runs, under the names that the table has today.

    Args:
        folder: of the row, in that of its table.
        table, row: which it is.
        record: of the row, perhaps in another table.
        found: the folder that it was read from.
    """
    named = replace(record, table=table.name, name=row.name, against=row.against)
    if found == folder and named == record:
        return
    write_row(folder, named, (found / CONFIG).read_text(encoding="utf-8"))
    logger.info("%s is written from %s", folder, found)


def publish_table(folder: Path, table: Table, opts: Sequence[str]) -> None:
    """Write what holds the rows together; of the options, those that change numbers."""
    content = {
        "format": FORMAT,
        "title": table.title,
        "note": table.note,
        "rows": [row.key for row in table.rows],
        "reference": table.reference,
        "missing": table.missing,
        "opts": [word for pair in zip(opts[::2], opts[1::2], strict=True) if pair[0] not in HARMLESS for word in pair],
    }
    write_text(folder / TABLE_FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def check_commits(before: RowRecord | None, folder: Path, commits: Sequence[str]) -> None:
    """Refuse to write over results of a commit that none of the new ones is of.

    Raises:
        ValueError: with both commits.
    """
    if before is None or not before.commits or set(before.commits) & set(commits):
        return
    raise ValueError(
        f"{folder} holds results of commit {', '.join(before.commits)}, and these are of "
        f"{', '.join(commits) or 'none'}; choose another --results, remove that folder, or have "
        "all trained anew with --overwrite; --extend trains only the worlds and seeds that it lacks"
    )


def check_writable(folder: Path, commit: str, trainings: Sequence[Training]) -> None:
    """The same before anything is trained: refuse where a row's new runs could not be written in the end.

    Args:
        folder: of the row.
        commit: of what would be trained now.
        trainings: of the row.
    """
    before = _record_there(folder)
    if before is None:
        return
    there = {commit for training in trainings for commit in made_with(training.folder)["commits"]}
    if all(training.is_done() for training in trainings):
        return  # what is written is compared with what is there
    check_commits(before, folder, sorted({commit, *there} - {""}))


def set_aside(folder: Path, aside: Path) -> None:
    """Move a row's folder, where there is one, to the first free ``<aside>/<name>.<number>``."""
    if not folder.exists():
        return
    number = next(n for n in range(1, 10_000) if not (aside / f"{folder.name}.{n}").exists())
    aside.mkdir(parents=True, exist_ok=True)
    shutil.move(folder, aside / f"{folder.name}.{number}")
    logger.info("earlier results were moved to %s", aside / f"{folder.name}.{number}")


def _about(table: Table, cfg: Any, trainings: Sequence[Training]) -> dict[str, Any]:
    """What a record says of a row beside its outcomes."""
    row, made = trainings[0].row, [made_with(training.folder) for training in trainings]
    return {
        "format": FORMAT,
        "table": table.name,
        "key": row.key,
        "name": row.name,
        "against": row.against,
        "trained": row.trained,
        # A plugin's file is somewhere on this machine; config.yaml has its name.
        "overrides": {key: value for key, value in row.overrides.items() if key != "plugins"},
        "worlds": sorted({training.world for training in trainings}),
        "seeds": sorted({training.seed for training in trainings}) if row.trained else [],
        "commits": sorted({commit for one in made for commit in one["commits"]}),
        "environment": _different([one["environment"] for one in made]),
        "renderer": cfg.data.synthetic.renderer if cfg.data.synthetic.like else None,
    }


def _outcomes(trainings: Sequence[Training]) -> tuple[list[str], Columns, list[RunRecord]]:
    """Names of the tests, the outcomes of all queries, and the records of the runs."""
    tests: list[str] = []
    parts: list[Columns] = []
    runs = []
    for training in trainings:
        scores = query_scores(training)
        for found in run_scores(training):
            name = found["condition"] or found["protocol"]
            if name not in tests:
                tests.append(name)
            own = scores["test"] == name
            columns = {
                "AP": scores["AP"][own].astype(np.float32),
                "world": np.full(own.sum(), training.world),
                "seed": np.full(own.sum(), training.seed),
                "test": np.full(own.sum(), tests.index(name)),
                "trial": scores["trial"][own],
                "query": scores["query"][own],
            }
            parts.append(columns)
            numbers: dict[str, Any] = {"queries": int(own.sum()), "digest": digest_of(columns)}
            runs.append(RunRecord(training.world, training.seed, **found, **numbers))
    return tests, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, runs


def _record_there(folder: Path) -> RowRecord | None:
    return read_row(folder) if (folder / RECORD).exists() else None


def _says(before: RowRecord, content: dict[str, Any]) -> bool:
    """Whether a record says this already; numbers and texts are compared as JSON has them."""
    return all(
        getattr(before, name) == (value if name == "runs" else json.loads(json.dumps(value)))
        for name, value in content.items()
    )


def _different(environments: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for environment in environments:
        if environment and environment not in found:
            found.append(environment)
    return found
