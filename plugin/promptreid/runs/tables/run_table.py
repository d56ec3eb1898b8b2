"""A table from nothing: its rows trained, tested and written down. A second call passes over what is finished."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.runs.run_log import run_log
from promptreid.runs.tables.extension import pairs_of, record_to_extend
from promptreid.runs.tables.jobs import Failure
from promptreid.runs.tables.made_with import code_commit
from promptreid.runs.tables.places import Places, Size, of_rows
from promptreid.runs.tables.programme import Programme, complete_programme, raise_failures
from promptreid.runs.tables.publish import check_writable, keep_row, publish_row, publish_table, set_aside
from promptreid.runs.tables.record import RowRecord
from promptreid.runs.tables.render import ResultTable
from promptreid.runs.tables.rows import Training, check_folder, row_config, trainings_of
from promptreid.runs.tables.screen import choices_of
from promptreid.runs.tables.table import Table
from promptreid.runs.tables.worlds import world_seeds

logger = logging.getLogger(__name__)


def run_table(
    table: Table,
    places: Places,
    size: Size,
    opts: Sequence[str] = (),
    overwrite: bool = False,
    extend: bool = False,
) -> ResultTable:
    """Train each row in each world with each seed, write its folder in the results, and the table from these.

    The runs are in ``<out>/runs``, where other tables find those they share. After an interruption, call it again:
    finished runs are passed over, and those that were going on continue. A row that isn't trained has one run in each
    world. ``table.csv``, ``.md``, ``.json`` and ``.png`` go into ``<out>/<table>``.

    Args:
        table: from :func:`~promptreid.runs.tables.definitions.find_table`, or one's own.
        places: where things are.
        size: how much is trained.
        opts: ``KEY VALUE ...`` for all rows; what a row is about itself wins.
        overwrite: move the folders of these rows' runs aside, which other tables may share, and those of their results.
        extend: keep the runs that the results hold, of whatever commit, for this table or another one with the same
            row, and train only the worlds and seeds that they lack.

    Raises:
        ValueError, FileNotFoundError: before anything is trained, configurations that cannot be used, runs of another
            configuration in a folder, and results of another commit or, to extend them, of another configuration; in
            the end, trainings that have failed.
    """
    if overwrite and extend:
        raise ValueError("--overwrite trains everything anew, --extend keeps what is there; leave one of them out")
    rows = _prepared(of_rows(table, size.rows), places, size, opts, extend)
    results = places.results / table.name
    if overwrite:
        _move_aside(rows, results, places.out / "earlier-results" / table.name)
    for row in rows:
        for training in row.trainings:
            check_folder(training.cfg)
        if row.extends is None:
            check_writable(results / row.key, code_commit(), row.trainings)
    programme = _programme(rows, size.jobs)
    with run_log():
        logger.info("%s: %s", table.name, programme.outlook(programme.to_do()))
        publish_table(results, table, opts)
    failures = _complete(programme, table, rows, results)
    raise_failures(failures, len(programme.trainings), f" Rows that are whole are in {results}.")
    result = ResultTable.read(results)
    result.save(places.out / table.name)
    return result


def plan_of(table: Table, places: Places, size: Size, opts: Sequence[str] = (), extend: bool = False) -> str:
    """What :func:`run_table` would train, what of it is done, and how long the rest would take; nothing is trained."""
    rows = _prepared(of_rows(table, size.rows), places, size, opts, extend)
    return f"{table.name}\n{_programme(rows, size.jobs).plan()}"


class _Prepared:
    """A row with its configuration and its runs; without those that the record has which it extends."""

    def __init__(self, cfg: Any, trainings: list[Training], there: tuple[RowRecord, Path] | None = None) -> None:
        self.cfg, self.row, self.key, self.there = cfg, trainings[0].row, trainings[0].row.key, there
        pairs = pairs_of(there[0]) if there else set()
        self.trainings = [training for training in trainings if (training.world, training.seed) not in pairs]

    @property
    def extends(self) -> RowRecord | None:
        return self.there[0] if self.there else None

    def is_done(self) -> bool:
        return all(training.is_done() for training in self.trainings)


def _prepared(table: Table, places: Places, size: Size, opts: Sequence[str], extend: bool = False) -> list[_Prepared]:
    choices = choices_of(places.results, table)
    found = []
    for row in table.rows:
        cfg = row_config(row, places.configs, places.out, opts, choices.get(row.key), places.overlays)
        worlds = world_seeds(cfg, size.worlds)
        trainings = trainings_of(row, cfg, worlds, size.seeds, table.missing)
        folder = places.results / table.name / row.key
        there = record_to_extend(folder, cfg, trainings, table.missing) if extend else None
        found.append(_Prepared(cfg, trainings, there))
    return found


def _programme(rows: Sequence[_Prepared], jobs: int) -> Programme:
    kept = {one.row.name: len(pairs_of(one.extends)) for one in rows if one.extends}
    return Programme.of([row.trainings for row in rows], jobs, kept)


def _move_aside(rows: Sequence[_Prepared], results: Path, aside: Path) -> None:
    """The folder of a row holds runs, or folders of worlds with runs."""
    with run_log():
        for row in rows:
            folder = Path(row.cfg.data.save_dir)
            for part in sorted(folder.glob("world-*")) or [folder]:
                if part.exists():
                    RunFolder(part).move_aside()
            set_aside(results / row.key, aside)


def _complete(programme: Programme, table: Table, rows: Sequence[_Prepared], results: Path) -> list[Failure]:
    """Complete the trainings, and write each row as soon as all of its own are there."""

    def publish(row: _Prepared) -> None:
        folder = results / row.key
        if row.trainings:
            publish_row(folder, table, row.cfg, row.trainings, row.extends)
        elif row.there is not None:
            keep_row(folder, table, row.row, *row.there)

    def done(training: Training) -> None:
        row = next(row for row in rows if training in row.trainings)
        if row.is_done():
            publish(row)

    with run_log():
        for row in rows:
            if row.is_done():
                publish(row)
    return complete_programme(programme, done)
