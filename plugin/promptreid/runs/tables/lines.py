"""From the rows of a published table to its lines: means, and what each row gains over another with an interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from promptreid.evaluation.missing.conditions import FULL
from promptreid.evaluation.missing.table import MEAN
from promptreid.evaluation.statistics.hierarchical import Effect, World, effects
from promptreid.evaluation.tables import Columns
from promptreid.runs.tables.costs import Cost
from promptreid.runs.tables.published import Published
from promptreid.runs.tables.record import RowRecord, RunRecord

SCORES = {"mAP": "mAP", "rank1": "R1"}
"""What is printed, by the name that the runs' files have for it."""
Scores = dict[str, dict[str, float]]
_TRIAL = 1 << 32  # more than there are queries


@dataclass(frozen=True)
class Line:
    """One row under one protocol, or under one condition of missing modalities. All scores are in [0, 1].

    Attributes:
        row: with all that its folder says.
        protocol: its name.
        condition: its name; empty where nothing is missing on purpose.
        selection: how the weights were chosen, as the runs' results say.
        runs: how many, over worlds and seeds.
        scores: for ``mAP`` and ``rank1``, ``mean`` and ``sd`` over the runs.
        against: the row that it is compared with; None for the reference, and where that row is not there.
        effect: on mAP, of this row over that one.
        cost: of its training.
    """

    row: RowRecord
    protocol: str
    condition: str
    selection: str
    runs: int
    scores: Scores
    against: RowRecord | None
    effect: Effect | None
    cost: Cost


def lines_of(published: Published) -> list[Line]:
    """Row by row, and of each by protocol, or by condition with their mean last.

    Raises:
        ValueError: two rows have ranked other queries in one world.
    """
    compared = [_against(row, published) for row in published.rows]
    pairs = [(row, other) for row, other in zip(published.rows, compared, strict=True) if other is not None]
    found: dict[tuple[str, str], Effect] = {}
    tests = list(published.rows[0].tests)
    if published.missing and len(tests) > 2:
        tests.append(MEAN)
    for test in tests if pairs else ():
        members = [name for name in tests if name not in (FULL, MEAN)] if test == MEAN else [test]
        places = [(published.rows.index(row), published.rows.index(other)) for row, other in pairs]
        of_test = effects(_worlds(published.rows, members), places)
        found |= {(row.key, test): effect for (row, _), effect in zip(pairs, of_test, strict=True)}
    return [
        _line(row, other, runs, test, found.get((row.key, test)))
        for row, other in zip(published.rows, compared, strict=True)
        for test, runs in _by_test(row, tests)
    ]


def reference_of(published: Published) -> RowRecord | None:
    """The row that others are compared with, None where it isn't there."""
    wanted = published.reference or published.rows[0].key
    return next((row for row in published.rows if row.key == wanted), None)


def cost_of_row(row: RowRecord) -> Cost:
    """What its file says of it."""
    step = row.costs["step_seconds"]
    return Cost(int(row.costs["trained_parameters"] or 0), float(row.costs["kept_bytes"] or 0), step)


def _against(row: RowRecord, published: Published) -> RowRecord | None:
    if not row.against:
        reference = reference_of(published)
        return None if reference is row else reference
    return next((other for other in published.rows if other.key == row.against and other is not row), None)


def _by_test(row: RowRecord, tests: Sequence[str]) -> Iterator[tuple[str, list[RunRecord]]]:
    for test in tests:
        runs = [run for run in row.runs if run.test == test or (test == MEAN and run.condition not in ("", FULL))]
        if runs:
            yield test, runs


def _line(row: RowRecord, other: RowRecord | None, runs: Sequence[RunRecord], test: str, effect: Effect | None) -> Line:
    by_run: dict[tuple[int, int], list[RunRecord]] = {}
    for run in runs:
        by_run.setdefault((run.world, run.seed), []).append(run)
    scores = {
        name: _spread([float(np.mean([getattr(run, name) for run in own])) for own in by_run.values()])
        for name in SCORES
    }
    selection = ", ".join(sorted({run.selection for run in runs}))
    condition = MEAN if test == MEAN else runs[0].condition
    return Line(row, runs[0].protocol, condition, selection, len(by_run), scores, other, effect, cost_of_row(row))


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and sample standard deviation (0 of one run)."""
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0}


def _worlds(rows: Sequence[RowRecord], tests: Sequence[str]) -> list[World]:
    """Outcomes of all rows in each world; those of an untrained row stand for every seed."""
    seeds = next((row.seeds for row in rows if row.trained), [0])
    return [_world(rows, seeds, tests, world) for world in rows[0].worlds]


def _world(rows: Sequence[RowRecord], seeds: Sequence[int], tests: Sequence[str], world: int) -> World:
    ranked: np.ndarray | None = None
    sums = []
    for row in rows:
        of_row = []
        for seed in seeds if row.trained else [0]:
            columns = _outcomes(row, tests, world, seed)
            if ranked is None:
                ranked = columns["ranked"]
            if not np.array_equal(ranked, columns["ranked"]):
                raise ValueError(
                    f"rows {rows[0].name!r} and {row.name!r} have ranked other queries in world {world} ({tests[0]}); "
                    "test both on the same images"
                )
            _, code = np.unique(ranked % _TRIAL, return_inverse=True)
            of_row.append(np.bincount(code, columns["AP"]))
        sums.append(of_row if row.trained else of_row * len(seeds))
    return World(np.array(sums), np.bincount(code))


def _outcomes(row: RowRecord, tests: Sequence[str], world: int, seed: int) -> Columns:
    """Average precisions, and what was ranked: test, trial and query in one number, in their order."""
    queries = row.queries
    own = (queries["world"] == world) & (queries["seed"] == seed)
    own &= np.isin(queries["test"], [row.tests.index(test) for test in tests])
    test, trial, query = (queries[name][own].astype(np.int64) for name in ("test", "trial", "query"))
    ranked = ((test << 16) + trial) * _TRIAL + query
    order = np.argsort(ranked)
    return {"ranked": ranked[order], "AP": queries["AP"][own][order].astype(float)}
