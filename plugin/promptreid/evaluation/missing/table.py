"""The table of results under missing modalities: a row per condition, then the mean over the missing ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from promptreid.evaluation.missing.conditions import FULL, Condition
from promptreid.evaluation.results import Results
from promptreid.evaluation.tables import Columns

COLUMNS = ("mAP", "R1", "R5", "R10")
MEAN = "mean"


@dataclass(frozen=True, eq=False)
class MissingTable:
    """Results by condition.

    Attributes:
        outcomes: conditions with their results, in the order of the rows.
        incomplete: what of the published test set was not there, such as ``"38 of 3803 queries"``; often empty.

    Raises:
        ValueError: no outcomes.
    """

    outcomes: Sequence[tuple[Condition, Results]]
    incomplete: str = ""

    def __post_init__(self) -> None:
        if not self.outcomes:
            raise ValueError("outcomes: a table needs at least one condition")

    @property
    def results(self) -> dict[str, Results]:
        """The results by the condition's name."""
        return {condition.name: results for condition, results in self.outcomes}

    @property
    def mean(self) -> np.ndarray | None:
        """(4,) the mean of each column over the conditions but ``full``, in [0, 1]; None of fewer than two."""
        missing = [_values(results) for condition, results in self.outcomes if condition.name != FULL]
        return np.mean(missing, axis=0) if len(missing) > 1 else None

    def text(self) -> str:
        """Aligned columns in per cent, under the protocol's name and what wasn't there."""
        rows = [(name, [f"{100 * value:.2f}" for value in values]) for name, values in self._rows()]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}" + "".join(f"{cell:>8}" for cell in cells) for name, cells in [("", COLUMNS), *rows]]
        return "\n".join([self._heading, *lines])

    def markdown(self) -> str:
        """The same as a table of Markdown."""
        head = [f"| {self._heading} | {' | '.join(COLUMNS)} |", "|---|" + "---:|" * len(COLUMNS)]
        rows = [f"| {name} | {' | '.join(f'{100 * value:.2f}' for value in values)} |" for name, values in self._rows()]
        return "\n".join([*head, *rows]) + "\n"

    def columns(self) -> Columns:
        """For :func:`~promptreid.evaluation.tables.save_table`; numbers in [0, 1]."""
        names, values = zip(*self._rows(), strict=True)
        sides = [(condition.query_name, condition.gallery_name) for condition, _ in self.outcomes]
        sides += [("", "")] * (len(names) - len(sides))
        texts = {"condition": names, "query": [q for q, _ in sides], "gallery": [g for _, g in sides]}
        numbers = dict(zip(COLUMNS, np.transpose(values), strict=True))
        return {name: np.array(column) for name, column in {**texts, **numbers}.items()}

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and texts for JSON; numbers in [0, 1]."""
        mean = self.mean
        return {
            "mean": None if mean is None else dict(zip(COLUMNS, mean.tolist(), strict=True)),
            "conditions": [
                {
                    "condition": condition.name,
                    "query": condition.query_name,
                    "gallery": condition.gallery_name,
                    **results.as_dict(),
                }
                for condition, results in self.outcomes
            ],
        }

    @property
    def _heading(self) -> str:
        return ", ".join(filter(None, (self.outcomes[0][1].protocol, self.incomplete)))

    def _rows(self) -> Iterator[tuple[str, np.ndarray]]:
        for condition, results in self.outcomes:
            yield condition.name, _values(results)
        if (mean := self.mean) is not None:
            yield MEAN, mean


def _values(results: Results) -> np.ndarray:
    return np.array([results.mAP, *(results.rank(k) for k in (1, 5, 10))])
