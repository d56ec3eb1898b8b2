"""Published runs trained a second time, from the configuration in their row's folder, and compared query by query."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from promptreid import host
from promptreid.config import load_config, validate
from promptreid.config.keys import did_you_mean
from promptreid.config.merge import merged
from promptreid.evaluation.tables import Columns
from promptreid.runs.run_log import run_log
from promptreid.runs.tables.made_with import code_commit, made_with
from promptreid.runs.tables.places import Places, Size
from promptreid.runs.tables.programme import Programme, complete_programme, raise_failures
from promptreid.runs.tables.published import Published, read_published
from promptreid.runs.tables.record import CONFIG, RowRecord, RunRecord
from promptreid.runs.tables.rows import HARMLESS, Training, check_folder, query_scores, run_scores, trainings_of
from promptreid.runs.tables.table import Row

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Repetition:
    """A published run beside a second one under the same protocol or condition.

    Attributes:
        row: its record.
        run: what was published.
        again: mAP of the second run, in [0, 1].
        changed: queries whose average precision is another one.
        other: ``name: published, now`` for what the second run was made with and no published one.
    """

    row: RowRecord
    run: RunRecord
    again: float
    changed: int
    other: Sequence[str]


def repeat_rows(table: str, places: Places, size: Size, opts: Sequence[str] = ()) -> list[Repetition]:
    """Train runs of a published table again, in folders of their own, and compare their outcomes.

    A second call passes over what is finished, as long as the code's commit is the same.

    Args:
        table: name of its folder in the results.
        places: where things are; the configurations are those in the results.
        size: the first worlds and seeds, and the rows; all of them when empty.
        opts: ``KEY VALUE ...`` of keys that change no number, such as ``data.root``.

    Returns:
        one for each run and protocol, row by row.

    Raises:
        ValueError: results that cannot be read, a row, worlds or seeds that they do not hold, a key that changes
            numbers, or trainings that have failed.
    """
    _check_options(opts, places.overlays)
    published = read_published(places.results / table)
    folder = places.out / "repeats" / (code_commit() or "no-commit") / table
    rows = [(row, _trainings(row, published, places, folder, size, opts)) for row in _chosen(published, size.rows)]
    trainings = [training for _, own in rows for training in own]
    for training in trainings:
        check_folder(training.cfg)
    programme = Programme.of([own for _, own in rows], size.jobs)
    with run_log():
        logger.info("%s, again: %s", table, programme.outlook(programme.to_do()))
    raise_failures(complete_programme(programme), len(trainings))
    return [repetition for row, own in rows for training in own for repetition in _compared(row, training)]


def repetitions_markdown(repetitions: Sequence[Repetition]) -> str:
    """A line for each repetition, then how many came out the same and what was different about the others."""
    head = "| row | world | seed | test | mAP | again | queries | changed |\n|---|---:|---:|---|---:|---:|---:|---:|"
    lines = [
        f"| {one.row.name} | {one.run.world} | {one.run.seed if one.row.trained else '–'} | {one.run.test} | "
        f"{100 * one.run.mAP:.2f} | {100 * one.again:.2f} | {one.run.queries} | {one.changed} |"
        for one in repetitions
    ]
    same = sum(not one.changed for one in repetitions)
    verdict = f"{same} of {len(repetitions)} came out the same for every query."
    other = list(dict.fromkeys(line for one in repetitions for line in one.other if one.changed))
    if other:
        verdict += f" Made with something else than what was published: {'; '.join(other)}."
    return "\n".join([head, *lines, "", verdict])


def _check_options(opts: Sequence[str], overlays: Sequence[Path]) -> None:
    changing = [key for key in opts[::2] if key not in HARMLESS]
    if changing or overlays:
        what = changing[0] if changing else f"--overlay {overlays[0]}"
        raise ValueError(f"{what}: --repeat trains what was published; leave out what changes numbers")
    if "data.save_dir" in opts[::2]:
        raise ValueError("data.save_dir: each repeated run has a folder of its own; say where with --out")


def _chosen(published: Published, keys: Sequence[str]) -> list[RowRecord]:
    known = {row.key: row for row in published.rows}
    for key in keys:
        if key not in known:
            near = did_you_mean(key, known)
            raise ValueError(f"--rows {key}: {published.name} has no such row{near} (one of {', '.join(known)})")
    return [row for key, row in known.items() if not keys or key in keys]


def _trainings(
    row: RowRecord, published: Published, places: Places, folder: Path, size: Size, opts: Sequence[str]
) -> list[Training]:
    for name, wanted, there in (("worlds", size.worlds, row.worlds), ("seeds", size.seeds, row.seeds)):
        if wanted > len(there) and (row.trained or name == "worlds"):
            raise ValueError(f"--{name} {wanted}: row {row.key!r} of {published.name} has {len(there)}; ask for fewer")
    file = places.results / published.name / row.key / CONFIG
    cfg = merged(load_config(file, opts), {"data.save_dir": str(folder / row.key)})
    try:
        validate(cfg, models=host.model_names(), datasets=host.dataset_names())
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    cfg.freeze()
    own = Row(row.key, row.name, str(file), trained=row.trained)
    return trainings_of(own, cfg, row.worlds[: size.worlds], size.seeds, published.missing)


def _compared(row: RowRecord, training: Training) -> list[Repetition]:
    scores = query_scores(training)
    other = _differences(row.environment, made_with(training.folder)["environment"])
    found = []
    for outcome in run_scores(training):
        name = outcome["condition"] or outcome["protocol"]
        place = (training.world, training.seed, name)
        run = next((run for run in row.runs if (run.world, run.seed, run.test) == place), None)
        if run is None:
            raise ValueError(f"row {row.key!r} holds no world {place[0]}, seed {place[1]}, {name}; restore its files")
        changed = _changed(_published_queries(row, run), _own_queries(scores, name))
        found.append(Repetition(row, run, outcome["mAP"], changed, other))
    return found


def _published_queries(row: RowRecord, run: RunRecord) -> dict[tuple[int, int], np.float32]:
    columns = row.queries
    own = (columns["world"] == run.world) & (columns["seed"] == run.seed)
    own &= columns["test"] == row.tests.index(run.test)
    return _by_query({name: column[own] for name, column in columns.items()})


def _own_queries(scores: Columns, name: str) -> dict[tuple[int, int], np.float32]:
    return _by_query({column: values[scores["test"] == name] for column, values in scores.items()})


def _by_query(columns: Columns) -> dict[tuple[int, int], np.float32]:
    places = zip(columns["trial"].tolist(), columns["query"].tolist(), strict=True)
    return dict(zip(places, columns["AP"].astype(np.float32), strict=True))


def _changed(before: dict[tuple[int, int], np.float32], after: dict[tuple[int, int], np.float32]) -> int:
    """Queries of which one of the two has another average precision, or none."""
    return sum(before.get(place) != after.get(place) for place in before.keys() | after.keys())


def _differences(published: Sequence[dict[str, Any]], now: dict[str, Any]) -> list[str]:
    """Against the published environment that is nearest."""
    each = [
        [f"{name}: {there.get(name)!r}, now {value!r}" for name, value in now.items() if there.get(name) != value]
        for there in published
    ]
    return min(each, key=len, default=[])
