"""A table from nothing: its rows trained, tested and written down. A second call passes over what is finished."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.evaluation.missing.conditions import FULL
from promptreid.evaluation.missing.table import MEAN
from promptreid.evaluation.statistics.bootstrap import Interval, mean_interval
from promptreid.evaluation.tables import Columns, save_table
from promptreid.files import atomic_write
from promptreid.runs.run_log import run_log
from promptreid.runs.splits_and_seeds import selections, summarise
from promptreid.runs.tables.bars import draw_bars, png_bytes
from promptreid.runs.tables.costs import Cost, cost_of
from promptreid.runs.tables.render import Line, ResultTable, Scores
from promptreid.runs.tables.rows import (
    check_folder,
    complete_row,
    missing_record,
    part_configs,
    query_scores,
    row_config,
)
from promptreid.runs.tables.table import Row, Table

logger = logging.getLogger(__name__)


def run_table(
    table: Table,
    configs: Path,
    out: Path,
    seeds: int = 3,
    opts: Sequence[str] = (),
    overwrite: bool = False,
    overlays: Sequence[Path] = (),
) -> ResultTable:
    """Train each row with each seed and write ``table.csv``, ``.md``, ``.json`` and ``.png`` into ``<out>/<table>``.

    The runs are in ``<out>/runs``, where other tables find those they share. After an interruption, call it again:
    finished runs are passed over, and the one that was going on continues. A row that isn't trained has one run.

    Args:
        table: from :func:`~promptreid.runs.tables.definitions.find_table`, or one's own.
        configs: the folder with the rows' configurations.
        out: folder of all tables.
        seeds: trainings of each row, from ``train.seed`` on.
        opts: ``KEY VALUE ...`` for all rows; what a row is about itself wins.
        overwrite: move the folders of these rows' runs aside, which other tables may share.
        overlays: files that are laid over the configuration of every row.

    Raises:
        ValueError, FileNotFoundError: before anything is trained, configurations that cannot be used, and runs of
            another configuration in the folder; data or weights that cannot be used, when a row needs them.
    """
    if seeds < 1:
        raise ValueError(f"--seeds {seeds}: train with at least one")
    prepared = [(row, row_config(row, configs, out, opts, overlays)) for row in table.rows]
    if overwrite:
        _move_aside({cfg.data.save_dir for _, cfg in prepared})
    for row, cfg in prepared:
        for part in part_configs(row, cfg, seeds):
            check_folder(part)
    lines: list[Line] = []
    for number, (row, cfg) in enumerate(prepared, start=1):
        with run_log():
            logger.info("%s, row %d of %d: %s", table.name, number, len(prepared), row.name)
        folders = complete_row(row, cfg, seeds)
        with run_log():
            cost = cost_of(cfg, folders) if row.trained else Cost()
        parts = part_configs(row, cfg, seeds)
        lines += _lines_missing(row, parts, cost) if table.missing else _lines(row, parts, cost)
    result = ResultTable(table, lines, seeds, opts)
    _write(result, out / table.name)
    return result


def _move_aside(folders: Collection[str]) -> None:
    with run_log():
        for folder in sorted(folders):
            if Path(folder).exists():
                RunFolder(Path(folder)).move_aside()


def _lines(row: Row, parts: Sequence[Any], cost: Cost) -> Iterator[Line]:
    """By protocol."""
    folders = [Path(part.data.save_dir) for part in parts]
    chosen = selections(folders)
    scores = _joined([query_scores(row, part) for part in parts])
    for protocol, found in summarise(folders).items():
        # A protocol's name has its split replaced by an asterisk.
        same = [fnmatchcase(name, protocol) for name in scores["test"].tolist()]
        interval = _interval(scores, np.array(same))
        yield Line(row, protocol, "", chosen[protocol], len(parts), _scores(found), interval, cost)


def _lines_missing(row: Row, parts: Sequence[Any], cost: Cost) -> Iterator[Line]:
    """By condition, then the mean over all but the full one."""
    selection = ", ".join(sorted(set(selections([Path(part.data.save_dir) for part in parts]).values())))
    found = [missing_record(part) for part in parts]
    records, scores = [record for record, _ in found], _joined([columns for _, columns in found])
    for number, condition in enumerate(records[0]["conditions"]):
        results = [record["conditions"][number] for record in records]
        values = {"mAP": [one["mAP"] for one in results], "rank1": [one["rank"]["1"] for one in results]}
        interval = _interval(scores, scores["test"] == condition["condition"])
        common = (condition["protocol"], condition["condition"], selection, len(parts))
        yield Line(row, *common, _spread(values), interval, cost)
    if records[0]["mean"] is not None:
        values = {"mAP": [one["mean"]["mAP"] for one in records], "rank1": [one["mean"]["R1"] for one in records]}
        interval = _interval(scores, scores["test"] != FULL)
        common = (records[0]["conditions"][0]["protocol"], MEAN, selection, len(parts))
        yield Line(row, *common, _spread(values), interval, cost)


def _interval(scores: Columns, chosen: np.ndarray) -> Interval:
    """Of the mean average precision of these lines; a query is drawn with all of its own."""
    return mean_interval(scores["AP"][chosen], scores["query"][chosen])


def _joined(parts: Sequence[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _scores(found: dict[str, dict[str, float]]) -> Scores:
    return {name: found[name] for name in ("mAP", "rank1")}


def _spread(values: dict[str, list[float]]) -> Scores:
    """Mean and sample standard deviation (0 of one run)."""
    return {
        name: {"mean": float(np.mean(runs)), "sd": float(np.std(runs, ddof=1)) if len(runs) > 1 else 0.0}
        for name, runs in values.items()
    }


def _write(result: ResultTable, folder: Path) -> None:
    save_table(result.columns(), folder / "table.csv")
    title, series, groups = result.chart()
    for name, content in (
        ("table.md", result.markdown().encode()),
        ("table.json", json.dumps(result.as_dict(), indent=1).encode()),
        ("table.png", png_bytes(draw_bars(series, groups, title))),
    ):
        with atomic_write(folder / name) as file:
            file.write(content)
