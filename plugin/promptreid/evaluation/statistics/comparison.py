"""Two runs on the same queries: differences of their means with paired bootstrap confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from promptreid.evaluation.statistics.bootstrap import Interval, resampled_means
from promptreid.evaluation.statistics.per_query import PerQuery
from promptreid.evaluation.tables import Columns

MEASURES = ("R1", "mAP", "mINP")


@dataclass(frozen=True)
class Difference:
    """Difference of two runs in one measure. All values are fractions.

    Attributes:
        first, second: mean over all queries and trials of either run.
        low, high: confidence interval of ``second - first``.
    """

    first: float
    second: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """The second run's mean less the first one's."""
        return self.second - self.first


@dataclass(frozen=True)
class Comparison:
    """Comparison of two runs under one protocol.

    Attributes:
        protocol: its name.
        differences: by measure, see :data:`MEASURES`.
        num_units: how many queries, or identities, were drawn from.
        unit: what was drawn, ``"query"`` or ``"pid"``.
        level: confidence level.
    """

    protocol: str
    differences: dict[str, Difference]
    num_units: int
    unit: str
    level: float

    def line(self) -> str:
        """One line: each measure's two means, difference and interval, in per cent."""
        parts = [
            f"{name} {100 * d.first:.2f} -> {100 * d.second:.2f}: "
            f"{100 * d.difference:+.2f} [{100 * d.low:+.2f}, {100 * d.high:+.2f}]"
            for name, d in self.differences.items()
        ]
        units = {"query": "queries", "pid": "identities"}[self.unit]
        return f"{self.protocol}: {'  '.join(parts)}  | {100 * self.level:g} % intervals, {self.num_units} {units}"


def intervals(
    table: PerQuery, *, unit: str = "query", samples: int = 10_000, level: float = 0.95, seed: int = 0
) -> dict[str, dict[str, Interval]]:
    """Percentile bootstrap of one run's means: by protocol, an interval for each of :data:`MEASURES`, as fractions.

    A query is drawn with all its trials, with ``unit="pid"`` all queries of an identity together. Queries without a
    match do not count, and a protocol without any query that has one is left out.

    Args:
        table: of the run.
        unit: ``"query"`` or ``"pid"``.
        samples: bootstrap samples.
        level: confidence level between 0 and 1.
        seed: of the drawing.

    Raises:
        ValueError: an argument out of range.
    """
    _check_drawing(unit, samples, level)
    found = {}
    for protocol in table.protocols():
        columns = table.select(protocol).columns
        valid = columns["matches"] > 0
        if valid.any():
            low, high = _bounds(_scores(columns)[valid], columns[unit][valid], samples, level, seed)[0]
            limits = zip(MEASURES, low.tolist(), high.tolist(), strict=True)
            found[protocol] = {name: Interval(*values) for name, *values in limits}
    return found


def compare(
    first: PerQuery, second: PerQuery, *, unit: str = "query", samples: int = 10_000, level: float = 0.95, seed: int = 0
) -> list[Comparison]:
    """Percentile bootstrap over queries that both runs answered, for each protocol that both tables hold.

    A query is drawn with all its trials, and with its outcome in both runs, so that what makes queries easy or hard
    cancels out. With ``unit="pid"`` all queries of an identity are drawn together: queries of one person resemble each
    other, and intervals that take them for independent are too narrow.

    Args:
        first, second: tables of the same queries and galleries. Methods may differ.
        unit: ``"query"`` or ``"pid"``.
        samples: bootstrap samples.
        level: confidence level between 0 and 1.
        seed: of the drawing.

    Raises:
        ValueError: no common protocol, queries of one table that the other lacks, lists the same twice, or has with
            another number of matches; an argument out of range.
    """
    _check_drawing(unit, samples, level)
    common = [name for name in first.protocols() if name in second.protocols()]
    if not common:
        raise ValueError(f"the tables share no protocol: {first.protocols()} and {second.protocols()}")
    return [_compare(name, first, second, unit, samples, level, seed) for name in common]


def _compare(
    protocol: str, first: PerQuery, second: PerQuery, unit: str, samples: int, level: float, seed: int
) -> Comparison:
    a, b = (_sorted(table.select(protocol)) for table in (first, second))
    _check_same(protocol, a, b)
    valid = a["matches"] > 0
    if not valid.any():
        raise ValueError(f"{protocol}: no query has a match")
    scores = [_scores(table)[valid] for table in (a, b)]
    (low, high), units = _bounds(scores[1] - scores[0], a[unit][valid], samples, level, seed)
    means = [table.mean(0) for table in scores]
    values = zip(MEASURES, *means, low, high, strict=True)
    return Comparison(protocol, {n: Difference(*map(float, v)) for n, *v in values}, units, unit, level)


def _check_drawing(unit: str, samples: int, level: float) -> None:
    if unit not in ("query", "pid"):
        raise ValueError(f"unit: {unit!r} is not one of ('query', 'pid')")
    if samples < 1 or not 0 < level < 1:
        raise ValueError(f"samples, level: {samples}, {level}; expected at least 1, and a number between 0 and 1")


def _bounds(scores: np.ndarray, of: np.ndarray, samples: int, level: float, seed: int) -> tuple[np.ndarray, int]:
    """Lower and upper bounds (2, M) of the means of (N, M) scores, and how many units ``of`` names."""
    units, code = np.unique(of, return_inverse=True)
    rows = np.column_stack([scores, np.ones(len(code))])
    sums = np.stack([np.bincount(code, column, len(units)) for column in rows.T], axis=1)
    ends = [(1 - level) / 2, (1 + level) / 2]
    return np.quantile(resampled_means(sums, samples, seed), ends, axis=0), len(units)


def _sorted(table: PerQuery) -> Columns:
    order = np.lexsort((table.columns["query"], table.columns["trial"]))
    return {name: values[order] for name, values in table.columns.items()}


def _check_same(protocol: str, a: Columns, b: Columns) -> None:
    for table in (a, b):
        same = (table["query"][1:] == table["query"][:-1]) & (table["trial"][1:] == table["trial"][:-1])
        if same.any():
            raise ValueError(f"{protocol}: query '{table['query'][same.argmax()]}' is there twice in one trial")
    if len(a["query"]) != len(b["query"]) or (a["query"] != b["query"]).any() or (a["trial"] != b["trial"]).any():
        keys = [set(zip(table["trial"].tolist(), table["query"].tolist(), strict=True)) for table in (a, b)]
        trial, query = min(keys[0] ^ keys[1])
        raise ValueError(
            f"{protocol}: only one table has query {query!r} in trial {trial}; compare runs on one test set"
        )
    for name in ("pid", "matches"):
        differ = a[name] != b[name]
        if differ.any():
            query, *values = (column[differ.argmax()] for column in (a["query"], a[name], b[name]))
            raise ValueError(
                f"{protocol}: query '{query}' has {name} {values[0]} in one table and {values[1]} in the other; "
                "compare runs on one test set"
            )


def _scores(table: Columns) -> np.ndarray:
    """(N, 3) contributions to :data:`MEASURES`."""
    return np.stack([table["first"] == 1, table["AP"], table["INP"]], axis=1).astype(float)
