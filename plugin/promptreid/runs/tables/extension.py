"""More worlds and seeds beside those that a row's folder in the results holds, whose runs lie on no disk any more."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from promptreid.config import dump_config
from promptreid.config.for_others import without_paths
from promptreid.config.keys import leaves_of
from promptreid.config.renamed import up_to_date
from promptreid.config.sections import all_keys
from promptreid.engine.checkpoints.resume_check import listed
from promptreid.evaluation.tables import Columns
from promptreid.runs.tables.record import ARRAYS, RECORD, RowRecord, RunRecord, pack_queries, read_row
from promptreid.runs.tables.rows import HARMLESS, Training


def record_to_extend(
    folder: Path, cfg: Any, trainings: Sequence[Training], missing: bool = False
) -> tuple[RowRecord, Path] | None:
    """Read the record of a row that gets more runs; None where there is none.

    A row that its table does not have yet may be in another table of the same results. Then that one's record is read,
    without the runs that aren't asked for.

    Args:
        folder: of the row, in that of its table.
        cfg: the row's configuration today, in none of its worlds.
        trainings: all runs that the row shall have.
        missing: the row is tested under missing modalities.

    Returns:
        the record, and the folder that it is in.

    Raises:
        ValueError: files that cannot be read, another configuration, or runs in this folder that aren't asked for.
    """
    if not (folder / RECORD).exists():
        return _of_another_table(folder, cfg, trainings, missing)
    record = read_row(folder)
    differences = _differences(record, cfg)
    if differences:
        raise ValueError(
            f"{folder} holds results of another configuration ({listed(differences)}); extend with the same one, "
            "or have all trained anew with --overwrite"
        )
    wanted = {(training.world, training.seed) for training in trainings}
    surplus = sorted(pairs_of(record) - wanted)
    if surplus:
        world, seed = surplus[0]
        raise ValueError(
            f"{folder} holds world {world}, seed {seed}, which --worlds and --seeds leave out: it has "
            f"{len(record.worlds)} worlds and {len(record.seeds) or 1} seeds; ask for at least as many"
        )
    return record, folder


def _of_another_table(
    folder: Path, cfg: Any, trainings: Sequence[Training], missing: bool
) -> tuple[RowRecord, Path] | None:
    """Of the records that the same row has in other tables, the one with the most runs that are asked for."""
    wanted = {(training.world, training.seed) for training in trainings}
    found = []
    for file in sorted(folder.parent.parent.glob(f"*/{folder.name}/{RECORD}")):
        record = read_row(file.parent)
        tested_alike = any(run.condition for run in record.runs) == missing
        if tested_alike and pairs_of(record) & wanted and not _differences(record, cfg):
            found.append((_part_of(record, wanted), file.parent))
    return max(found, key=lambda one: len(pairs_of(one[0])), default=None)


def _part_of(record: RowRecord, pairs: Set[tuple[int, int]]) -> RowRecord:
    """Keep the runs of some worlds and seeds; commits and environments stay those of all runs.

    Args:
        record: of a row.
        pairs: world and seed of each run that is kept.
    """
    if pairs_of(record) <= pairs:
        return record
    runs = [run for run in record.runs if (run.world, run.seed) in pairs]
    places = zip(record.queries["world"].tolist(), record.queries["seed"].tolist(), strict=True)
    kept = np.array([place in pairs for place in places])
    queries = {name: column[kept] for name, column in record.queries.items()}
    return replace(
        record,
        worlds=sorted({run.world for run in runs}),
        seeds=sorted({run.seed for run in runs}) if record.trained else [],
        runs=runs,
        queries=queries,
        queries_sha256=hashlib.sha256(pack_queries(queries)).hexdigest(),
    )


def pairs_of(record: RowRecord) -> set[tuple[int, int]]:
    """World and seed of each run that a record holds."""
    return {(run.world, run.seed) for run in record.runs}


def extended(before: RowRecord, after: RowRecord) -> RowRecord:
    """Join the runs of two records of a row; name, comparison and costs are the later one's.

    Args:
        before: what the row's folder holds.
        after: of further worlds or seeds.
    """
    tests = list(dict.fromkeys([*before.tests, *after.tests]))
    runs = sorted([*before.runs, *after.runs], key=_place)
    queries = _joined([before, after], tests)
    return replace(
        after,
        worlds=sorted({*before.worlds, *after.worlds}),
        seeds=sorted({*before.seeds, *after.seeds}),
        runs=runs,
        tests=tests,
        queries=queries,
        queries_sha256=hashlib.sha256(pack_queries(queries)).hexdigest(),
        commits=sorted({*before.commits, *after.commits}),
        environment=[*before.environment, *(one for one in after.environment if one not in before.environment)],
    )


def _place(run: RunRecord) -> tuple[int, int]:
    return run.world, run.seed


def _joined(records: Sequence[RowRecord], tests: Sequence[str]) -> Columns:
    """All outcomes, run by run as a record written at once has them."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ARRAYS}
    for record in records:
        places = np.array([tests.index(name) for name in record.tests], dtype=ARRAYS["test"])
        for name in ARRAYS:
            found = record.queries[name]
            columns[name].append(places[found] if name == "test" else found)
    whole = {name: np.concatenate(found) for name, found in columns.items()}
    order = np.lexsort((whole["seed"], whole["world"]))  # stable: within a run as they were
    return {name: found[order] for name, found in whole.items()}


def _differences(record: RowRecord, cfg: Any) -> list[str]:
    """``key: old, now new``; a key that the record lacks, because it is younger, stands at its default."""
    old = up_to_date(record.settings, {"model.name": record.settings.get("model.name", "")})[0]
    new = leaves_of(without_paths(dump_config(cfg)))
    keys = all_keys()
    found = []
    for key, value in new.items():
        before = old.get(key, keys[key].default if key in keys else value)
        if key not in HARMLESS and _plain(before) != _plain(value):
            found.append(f"{key}: {before!r}, now {value!r}")
    return found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
