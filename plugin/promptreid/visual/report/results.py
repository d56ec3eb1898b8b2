"""The tables of results: what the runs' files say, with bootstrap intervals where the queries' outcomes can be had."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from promptreid.evaluation.results import full_name
from promptreid.evaluation.statistics.bootstrap import Interval
from promptreid.evaluation.statistics.comparison import Comparison, compare, intervals
from promptreid.evaluation.statistics.per_query import PerQuery
from promptreid.visual.report.content import Block, Cell, Item, Note, Section, Table
from promptreid.visual.report.open_runs import OpenRuns, attempt
from promptreid.visual.report.run_files import RunFiles

_RANKS = ("1", "5", "10", "20")
_COLUMNS = (*(f"R{rank}" for rank in _RANKS), "mAP", "mINP")
_SD = {"R1": "rank1", "mAP": "mAP", "mINP": "mINP"}
_SAME = 5e-4  # what scores of the same weights may differ by on another machine
_NOTHING = Cell("–")
_ABOUT = (
    "In per cent, as the runs' results files say; ± is the standard deviation over trials. In brackets: 95 % intervals "
    "of a percentile bootstrap over queries (10 000 samples); those of differences draw each query with its outcome in "
    "both runs."
)

Key = tuple[str, str]
"""A data set and a protocol."""


def results_section(runs: OpenRuns, title: str) -> Section:
    """A table for each data set and protocol, the differences to the first run, and the trials."""
    records = {run.name: _records(run) for run in runs.files}
    keys: list[Key] = list(dict.fromkeys(key for found in records.values() for key in found))
    tables, notes = _outcomes(runs, records)
    limits = {name: _intervals(table, runs.options.seed) for name, table in tables.items()}
    blocks = [Block(notes, below=True)] if notes else []
    for key in keys:
        blocks.append(Block(_of_protocol(runs, key, records, tables, limits), _title(key), below=True))
    trials = [table for key in keys for table in _trials(runs, key, records)]
    if trials:
        blocks.append(Block(trials, "Each trial", folded=True, below=True))
    return Section("results", title, _ABOUT, blocks)


def _records(run: RunFiles) -> dict[Key, dict[str, Any]]:
    """The results of a run's files, by data set and protocol."""
    return {
        (dataset, result["protocol"]): result
        for dataset, record in run.results.items()
        for result in record.get("results", [])
    }


def _outcomes(runs: OpenRuns, records: dict[str, dict[Key, Any]]) -> tuple[dict[str, PerQuery], list[Item]]:
    """The queries' outcomes of each run that can be had, and notes on the others."""
    tables: dict[str, PerQuery] = {}
    notes: list[Item] = []
    for run in runs.files:
        notes += [Note(f"A table of {run.name}", reason) for reason in run.unreadable]
        if not records[run.name]:
            reason = f"{run.folder.path} has no results; test it: promptreid evaluate {run.folder.path}"
            notes.append(Note(f"The results of {run.name}", reason))
        elif "intervals" not in runs.options.skip:
            keep = partial(_keep, runs, run, tables, records[run.name])
            notes += attempt(f"The intervals of {run.name}", keep)
    return tables, notes


def _keep(runs: OpenRuns, run: RunFiles, tables: dict[str, PerQuery], records: dict[Key, Any]) -> list[Item]:
    """Put a run's outcomes into the tables if they are those of its files; a note otherwise."""
    table, target = runs.per_query(run), runs.opened(run).target
    ours = {name: records[target, name] for name in _names(table) if (target, name) in records}
    if not ours:
        raise ValueError(f"its results on {target} are under other protocols; test it again: promptreid evaluate")
    for name, record in ours.items():
        found = _mean_precision(table, name)
        if abs(found - record["mAP"]) > _SAME:
            raise ValueError(
                f"{name}: the weights that are there score {100 * found:.2f} % mAP, the run's file says "
                f"{100 * record['mAP']:.2f} %; test it again: promptreid evaluate {run.folder.path}"
            )
    tables[run.name] = table
    return []


def _names(table: PerQuery) -> dict[str, str]:
    """Protocols as results call them, with their method, and as the table does."""
    names = {}
    for protocol in table.protocols():
        names[full_name(protocol, str(table.select(protocol).columns["method"][0]))] = protocol
    return names


def _mean_precision(table: PerQuery, name: str) -> float:
    """mAP, mean over the trials."""
    columns = table.select(_names(table)[name]).columns
    valid = columns["matches"] > 0
    trials = columns["trial"][valid]
    return float(np.mean([columns["AP"][valid][trials == trial].mean() for trial in np.unique(trials)]))


def _intervals(table: PerQuery, seed: int) -> dict[str, dict[str, Interval]]:
    found = intervals(table, seed=seed)
    return {name: found[protocol] for name, protocol in _names(table).items() if protocol in found}


def _of_protocol(
    runs: OpenRuns,
    key: Key,
    records: dict[str, dict[Key, Any]],
    tables: dict[str, PerQuery],
    limits: dict[str, dict[str, dict[str, Interval]]],
) -> list[Item]:
    there = [run for run in runs.files if key in records[run.name]]
    targets = {run.name: runs.opened(run).target for run in there if run.name in tables}
    rows, notes = [], []
    for run in there:
        own = limits[run.name].get(key[1], {}) if targets.get(run.name) == key[0] else {}
        rows.append(_row(run.name, records[run.name][key], own))
    for run in there[1:]:
        pair = [tables[each.name] for each in (there[0], run) if targets.get(each.name) == key[0]]
        found: list[Comparison] = []
        if len(pair) == 2 and all(key[1] in _names(table) for table in pair):
            parts = [table.select(_names(table)[key[1]]) for table in pair]
            what = f"The interval of {run.name} less {there[0].name}"
            notes += attempt(what, partial(_compared, parts, found, runs.options.seed))
        rows.append(_difference(there[0], run, key, records, found))
    note = "; ".join(dict.fromkeys(filter(None, (records[run.name][key].get("note", "") for run in there))))
    count = len(records[there[0].name][key].get("trials", []))
    caption = f"{count} trials, mean" if count > 1 else "One trial"
    caption += f"; {note}" if note else ""
    head = ("Run", *_COLUMNS, "Chance R1", "Chance mAP", "Queries")
    return [Table(caption, head, rows, numbers=True), *notes]


def _compared(parts: Sequence[PerQuery], found: list[Comparison], seed: int) -> list[Item]:
    found += compare(parts[0], parts[1], seed=seed)
    return []


def value_of(record: dict[str, Any], column: str) -> float | None:
    """A score of a result's record, as a fraction; None where the record has none.

    Args:
        record: of a results file.
        column: ``"R1"``, ``"R5"``, ``"R10"``, ``"R20"``, ``"mAP"`` or ``"mINP"``.
    """
    value = record.get("rank", {}).get(column[1:]) if column.startswith("R") else record.get(column)
    return None if value is None else float(value)


def _row(name: str, record: dict[str, Any], limits: dict[str, Interval]) -> list[Cell]:
    cells = []
    for column in _COLUMNS:
        value, sd = value_of(record, column), (record.get("sd") or {}).get(_SD.get(column, ""))
        text = percent(value) if sd is None else f"{percent(value)} ± {percent(sd)}"
        interval = limits.get(column)
        cells.append(Cell(text, f"[{percent(interval.low)}, {percent(interval.high)}]" if interval else ""))
    chance = record.get("chance") or {}
    unmatched = f"{record['num_invalid']} without a match" if record.get("num_invalid") else ""
    queries = Cell(str(record.get("num_valid", "–")), unmatched)
    return [Cell(name), *cells, *(Cell(percent(chance.get(key))) for key in ("rank1", "mAP")), queries]


def _difference(
    first: RunFiles, second: RunFiles, key: Key, records: dict[str, dict[Key, Any]], found: Sequence[Comparison]
) -> list[Cell]:
    """The second run less the first one."""
    cells = []
    for column in _COLUMNS:
        values = [value_of(records[run.name][key], column) for run in (first, second)]
        if None in values:
            cells.append(_NOTHING)
            continue
        text = f"{100 * (values[1] - values[0]):+.2f}"  # type: ignore[operator]
        one = found[0].differences.get(column) if found else None
        cells.append(Cell(text, f"[{100 * one.low:+.2f}, {100 * one.high:+.2f}]" if one else ""))
    return [Cell(f"{second.name} − {first.name}"), *cells, *[Cell("")] * 3]


def _trials(runs: OpenRuns, key: Key, records: dict[str, dict[Key, Any]]) -> list[Table]:
    """A table of the trials of one protocol, where it has several."""
    rows = []
    for run in runs.files:
        trials = records[run.name].get(key, {}).get("trials", [])
        if len(trials) > 1:
            for number, trial in enumerate(trials, 1):
                scores = (trial["cmc"][0], trial["mAP"], trial["mINP"])
                rows.append([Cell(run.name), Cell(str(number)), *(Cell(percent(score)) for score in scores)])
    return [Table(_title(key), ("Run", "Trial", "R1", "mAP", "mINP"), rows, numbers=True)] if rows else []


def _title(key: Key) -> str:
    return f"{key[0]}: {key[1]}"


def percent(value: float | None) -> str:
    """A fraction in per cent, two digits."""
    return "–" if value is None else f"{100 * value:.2f}"
