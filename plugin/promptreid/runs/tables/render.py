"""A finished table as columns, Markdown, plain numbers and bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from promptreid.evaluation.statistics.bootstrap import Interval
from promptreid.evaluation.tables import Columns
from promptreid.runs.tables.bars import Bar
from promptreid.runs.tables.costs import Cost
from promptreid.runs.tables.table import Row, Table

SCORES = {"mAP": "mAP", "rank1": "R1"}
"""What is printed, by the name that the runs' files have for it."""
Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Line:
    """One row under one protocol, or under one condition of missing modalities. All scores are in [0, 1].

    Attributes:
        row: of the table's definition.
        protocol: its name.
        condition: its name; empty where nothing is missing on purpose.
        selection: how the weights were chosen, as the runs' results say.
        runs: how many trainings.
        scores: for ``mAP`` and ``rank1``, ``mean`` and ``sd`` over the runs.
        interval: 95 % bootstrap interval of the mean mAP, over queries.
        cost: of its training.
    """

    row: Row
    protocol: str
    condition: str
    selection: str
    runs: int
    scores: Scores
    interval: Interval
    cost: Cost


@dataclass(frozen=True)
class ResultTable:
    """A table with its numbers.

    Attributes:
        table: what was compared.
        lines: the outcome, row by row, at least one.
        seeds: trainings of each row.
        opts: ``KEY VALUE ...`` that all rows were trained with beside what their files say.
    """

    table: Table
    lines: Sequence[Line]
    seeds: int
    opts: Sequence[str] = ()

    def step_ratio(self, line: Line) -> float:
        """Seconds of a step, the reference row's being 1; NaN where either was not measured."""
        key = self._reference.key
        reference = next(other.cost.step for other in self.lines if other.row.key == key)
        return line.cost.step / reference if line.cost.step and reference else math.nan

    def columns(self) -> Columns:
        """For :func:`~promptreid.evaluation.tables.save_table`; a row per line, scores in [0, 1]."""
        rows = [
            {
                "row": line.row.name,
                "protocol": line.protocol,
                "condition": line.condition,
                "selection": line.selection,
                "runs": line.runs,
                **{f"{name}_{part}": line.scores[name][part] for name in SCORES for part in ("mean", "sd")},
                "mAP_low": line.interval.low,
                "mAP_high": line.interval.high,
                "trained_parameters": line.cost.trained,
                "step_ratio": self.step_ratio(line),
                "kept_bytes_per_image": line.cost.kept,
            }
            for line in self.lines
        ]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and texts for JSON; scores in [0, 1], None where nothing was measured."""
        lines = []
        for line in self.lines:
            ratio = self.step_ratio(line)
            lines.append(
                {
                    **{name: getattr(line, name) for name in ("protocol", "condition", "selection", "runs", "scores")},
                    "row": {**asdict(line.row), "overrides": dict(line.row.overrides)},
                    "mAP_interval": line.interval._asdict(),
                    "cost": {**asdict(line.cost), "step_ratio": None if math.isnan(ratio) else ratio},
                }
            )
        return {"table": self.table.name, "seeds": self.seeds, "opts": list(self.opts), "lines": lines}

    def markdown(self) -> str:
        """The table in per cent, with what has to be known about it."""
        parts = [f"**{self.table.title}** (`{self.table.name}`)", self._legend()]
        parts += self._by_condition() if self.table.missing else self._by_protocol()
        return "\n\n".join(part for part in parts if part) + "\n"

    def chart(self) -> tuple[str, dict[str, list[Bar]], list[str]]:
        """Title, bars by series, and groups, of the headline protocol: mAP and R1 by row, or mAP by condition."""
        protocol = self.lines[0].protocol
        lines = [line for line in self.lines if line.protocol == protocol]
        if self.table.missing:
            by_row = {row.name: [_bar(line, "mAP") for line in lines if line.row == row] for row in self.table.rows}
            return f"{self.table.title}: mAP, {protocol}", by_row, self._conditions()
        by_score = {label: [_bar(line, name) for line in lines] for name, label in SCORES.items()}
        return f"{self.table.title}: {protocol}", by_score, [line.row.name for line in lines]

    def _legend(self) -> str:
        chosen = ", ".join(sorted({line.selection for line in self.lines}))
        trainings = f"{self.seeds} training{'s' if self.seeds > 1 else ''}"
        texts = [
            f"Per cent; mean ± standard deviation over {trainings}, weights: {chosen}. In brackets the 95 % "
            "interval of the mean mAP over queries (bootstrap).",
            f"Step: time of a training step, that of {self._reference.name!r} being 1. Kept: MB per image for the "
            "backward pass.",
            self.table.note,
            f"With `{' '.join(self.opts)}`." if self.opts else "",
        ]
        return " ".join(text for text in texts if text)

    def _by_protocol(self) -> list[str]:
        head = "| {} | mAP | | R1 | trained, M | step | kept, MB |\n|---|---:|---|---:|---:|---:|---:|"
        tables = []
        for protocol in dict.fromkeys(line.protocol for line in self.lines):
            rows = [
                f"| {line.row.name} | {_score(line, 'mAP')} | {_interval(line)} | {_score(line, 'rank1')} "
                f"| {' | '.join(self._costs(line))} |"
                for line in self.lines
                if line.protocol == protocol
            ]
            tables.append("\n".join([head.format(protocol), *rows]))
        return tables

    def _by_condition(self) -> list[str]:
        conditions = self._conditions()
        tables = []
        for name, label in SCORES.items():
            head = f"| {label}, {self.lines[0].protocol} | {' | '.join(conditions)} |"
            rows = []
            for row in self.table.rows:
                lines = [line for line in self.lines if line.row == row]
                cells = [f"{_score(line, name)}{f' {_interval(line)}' if name == 'mAP' else ''}" for line in lines]
                rows.append(f"| {row.name} | {' | '.join(cells)} |")
            tables.append("\n".join([head, "|---|" + "---:|" * len(conditions), *rows]))
        first = [next(line for line in self.lines if line.row == row) for row in self.table.rows]
        costs = [f"| {line.row.name} | {' | '.join(self._costs(line))} |" for line in first]
        return [*tables, "\n".join(["| | trained, M | step | kept, MB |\n|---|---:|---:|---:|", *costs])]

    def _costs(self, line: Line) -> list[str]:
        ratio = self.step_ratio(line)
        numbers = (line.cost.trained / 1e6, ratio, line.cost.kept / 1e6)
        return ["–" if math.isnan(number) or not line.row.trained else f"{number:.2f}" for number in numbers]

    @property
    def _reference(self) -> Row:
        return next((row for row in self.table.rows if row.key == self.table.reference), self.table.rows[0])

    def _conditions(self) -> list[str]:
        return list(dict.fromkeys(line.condition for line in self.lines))


def _bar(line: Line, name: str) -> Bar:
    return Bar(line.scores[name]["mean"], line.scores[name]["sd"])


def _score(line: Line, name: str) -> str:
    mean, sd = (100 * line.scores[name][part] for part in ("mean", "sd"))
    return f"{mean:.1f} ± {sd:.1f}" if line.runs > 1 else f"{mean:.1f}"


def _interval(line: Line) -> str:
    return f"[{100 * line.interval.low:.1f}, {100 * line.interval.high:.1f}]"
