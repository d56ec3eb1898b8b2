"""A table from its files, as columns, Markdown, plain numbers and bars."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from promptreid.evaluation.tables import Columns, save_table
from promptreid.files import atomic_write
from promptreid.runs.tables.bars import Bar, draw_bars, png_bytes
from promptreid.runs.tables.lines import SCORES, Line, lines_of, reference_of
from promptreid.runs.tables.published import Published, read_published
from promptreid.runs.tables.record import CHANGED

_PROBE, _TUNING = "linear_probe", "fine_tuning"
_HALF_WIDTH = "0.5"  # of the intervals that the needed pairs are for, see ``effects``


@dataclass(frozen=True)
class ResultTable:
    """A table with its numbers.

    Attributes:
        published: what its files say.
        lines: the outcome, row by row, at least one.
    """

    published: Published
    lines: Sequence[Line]

    @classmethod
    def read(cls, folder: Path) -> ResultTable:
        """The table in a folder of the results.

        Raises:
            ValueError: files that cannot be read, or rows that cannot be compared.
        """
        published = read_published(folder)
        return cls(published, lines_of(published))

    def step_ratio(self, line: Line) -> float:
        """Seconds of a step, the reference row's being 1; NaN where either was not measured."""
        reference = reference_of(self.published)
        seconds = reference.costs["step_seconds"] if reference else None
        return line.cost.step / seconds if line.cost.step and seconds else math.nan

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
                "against": line.against.name if line.against else "",
                "effect": line.effect.difference if line.effect else math.nan,
                "effect_low": line.effect.interval.low if line.effect else math.nan,
                "effect_high": line.effect.interval.high if line.effect else math.nan,
                "verdict": line.effect.verdict if line.effect else "",
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
            effect = {**asdict(line.effect), "verdict": line.effect.verdict} if line.effect else None
            if effect:
                effect["interval"] = line.effect.interval._asdict() if line.effect else None
            lines.append(
                {
                    "row": {name: getattr(line.row, name) for name in ("key", "name", "overrides", "trained")},
                    **{name: getattr(line, name) for name in ("protocol", "condition", "selection", "runs", "scores")},
                    "against": line.against.key if line.against else None,
                    "effect": effect,
                    "cost": {**asdict(line.cost), "step_ratio": None if math.isnan(ratio) else ratio},
                }
            )
        first = self.published.rows[0]
        about = {"worlds": first.worlds, "seeds": self._seeds, "opts": list(self.published.opts)}
        return {"table": self.published.name, **about, "lines": lines}

    def markdown(self, titled: bool = True) -> str:
        """The table in per cent, with what has to be known about it."""
        title = f"**{self.published.title}** (`{self.published.name}`)" if titled else ""
        parts = [title, self._legend(), self._ratio()]
        parts += self._by_condition() if self.published.missing else self._by_protocol()
        return "\n\n".join(part for part in parts if part) + "\n"

    def chart(self) -> tuple[str, dict[str, list[Bar]], list[str]]:
        """Title, bars by series, and groups, of the headline protocol: mAP and R1 by row, or mAP by condition."""
        protocol, title = self.lines[0].protocol, self.published.title
        lines = [line for line in self.lines if line.protocol == protocol]
        if self.published.missing:
            rows = self.published.rows
            by_row = {row.name: [_bar(line, "mAP") for line in lines if line.row is row] for row in rows}
            return f"{title}: mAP, {protocol}", by_row, self._conditions()
        by_score = {label: [_bar(line, name) for line in lines] for name, label in SCORES.items()}
        return f"{title}: {protocol}", by_score, [line.row.name for line in lines]

    def save(self, folder: Path) -> None:
        """Write ``table.csv``, ``.md``, ``.json`` and ``.png``."""
        save_table(self.columns(), folder / "table.csv")
        title, series, groups = self.chart()
        for name, content in (
            ("table.md", self.markdown().encode()),
            ("table.json", json.dumps(self.as_dict(), indent=1).encode()),
            ("table.png", png_bytes(draw_bars(series, groups, title))),
        ):
            with atomic_write(folder / name) as file:
                file.write(content)

    @property
    def _seeds(self) -> list[int]:
        return next((row.seeds for row in self.published.rows if row.trained), [])

    def _legend(self) -> str:
        rows = self.published.rows
        chosen = ", ".join(sorted({line.selection for line in self.lines}))
        commits = sorted({commit for row in rows for commit in row.commits})
        opts = self.published.opts
        texts = [
            f"Per cent; mean ± standard deviation over {_count(len(rows[0].worlds), 'world')} and "
            f"{_count(len(self._seeds) or 1, 'seed')} in each, weights: {chosen}.",
            self._legend_of_effects(),
            f"Step: time of a training step, that of {self._reference_name!r} being 1. Kept: MB per image for the "
            "backward pass.",
            self.published.note,
            f"With `{' '.join(opts)}`." if opts else "",
            f"Rows are of {len(commits)} commits ({', '.join(map(_short, commits))})." if len(commits) > 1 else "",
        ]
        return " ".join(text for text in texts if text)

    def _legend_of_effects(self) -> str:
        if not any(line.effect for line in self.lines):
            return ""
        over = "the row that is named" if self._against_differs else repr(self._reference_name)
        return (
            f"Gain: in mAP over {over}, same worlds, seeds and queries, with its 95 % interval (bootstrap over all "
            f"three). Pairs: worlds x seeds for an interval of ± {_HALF_WIDTH}."
        )

    def _ratio(self) -> str:
        """Linear probe / full fine-tuning: near 1, a tower's features are good enough for the data as they are."""
        first = self.lines[0]
        found = {
            line.row.key: line.scores["mAP"]["mean"]
            for line in self.lines
            if (line.protocol, line.condition) == (first.protocol, first.condition)
        }
        if not found.get(_TUNING) or _PROBE not in found:
            return ""
        return f"Linear probe / full fine-tuning, mAP: {found[_PROBE] / found[_TUNING]:.2f}."

    def _by_protocol(self) -> list[str]:
        names = ["mAP", "R1", *(["over"] if self._against_differs else []), "gain", "", "pairs", *_COSTS]
        align = [
            "---:",
            "---:",
            *(["---"] if self._against_differs else []),
            "---:",
            "---",
            "---:",
            "---:",
            "---:",
            "---:",
        ]
        tables = []
        for protocol in dict.fromkeys(line.protocol for line in self.lines):
            rows = [self._row(line) for line in self.lines if line.protocol == protocol]
            tables.append("\n".join([f"| {protocol} | {' | '.join(names)} |", f"|---|{'|'.join(align)}|", *rows]))
        return tables

    def _row(self, line: Line) -> str:
        cells = [line.row.name, _score(line, "mAP"), _score(line, "rank1")]
        if self._against_differs:
            cells.append(line.against.name if line.against else "–")
        effect = line.effect
        cells += [_gain(line), effect.verdict if effect else "–", str(effect.needed or "–") if effect else "–"]
        return f"| {' | '.join([*cells, *self._costs(line)])} |"

    def _by_condition(self) -> list[str]:
        conditions = self._conditions()
        protocol = self.lines[0].protocol
        tables = []
        for name, label in {**SCORES, "gain": "gain in mAP"}.items():
            rows = []
            for row in self.published.rows:
                lines = [line for line in self.lines if line.row is row]
                cells = [_gain(line) if name == "gain" else _score(line, name) for line in lines]
                over = f" over {lines[0].against.name}" if name == "gain" and lines[0].against else ""
                if name != "gain" or lines[0].effect:
                    rows.append(f"| {row.name}{over} | {' | '.join(cells)} |")
            head = f"| {label}, {protocol} | {' | '.join(conditions)} |"
            if rows:
                tables.append("\n".join([head, "|---|" + "---:|" * len(conditions), *rows]))
        first = [next(line for line in self.lines if line.row is row) for row in self.published.rows]
        costs = [f"| {line.row.name} | {' | '.join(self._costs(line))} |" for line in first]
        return [*tables, "\n".join([f"| | {' | '.join(_COSTS)} |\n|---|---:|---:|---:|", *costs])]

    def _costs(self, line: Line) -> list[str]:
        ratio = self.step_ratio(line)
        numbers = (line.cost.trained / 1e6, ratio, line.cost.kept / 1e6)
        return ["–" if math.isnan(number) or not line.row.trained else f"{number:.2f}" for number in numbers]

    @property
    def _reference_name(self) -> str:
        reference = reference_of(self.published)
        return reference.name if reference else self.published.reference

    @property
    def _against_differs(self) -> bool:
        return any(row.against for row in self.published.rows)

    def _conditions(self) -> list[str]:
        return list(dict.fromkeys(line.condition for line in self.lines))


_COSTS = ("trained, M", "step", "kept, MB")


def _bar(line: Line, name: str) -> Bar:
    return Bar(line.scores[name]["mean"], line.scores[name]["sd"])


def _score(line: Line, name: str) -> str:
    mean, sd = (100 * line.scores[name][part] for part in ("mean", "sd"))
    return f"{mean:.1f} ± {sd:.1f}" if line.runs > 1 else f"{mean:.1f}"


def _gain(line: Line) -> str:
    if line.effect is None:
        return "–"
    interval = line.effect.interval
    return f"{100 * line.effect.difference:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number > 1 else ''}"


def _short(commit: str) -> str:
    """Twelve digits of a commit, and whether files were changed."""
    return commit.removesuffix(CHANGED)[:12] + (CHANGED if commit.endswith(CHANGED) else "")
