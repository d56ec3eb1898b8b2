"""Losses and scores over the epochs, and cumulative match curves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from promptreid.visual.curves import Curve, curves_figure
from promptreid.visual.report.content import Block, Cell, Item, Note, Section, Table, Text
from promptreid.visual.report.open_runs import OpenRuns, attempt
from promptreid.visual.report.pictures import picture_of
from promptreid.visual.report.run_files import RunFiles

_PLACES = ("epoch", "step")
_SCORES = ("rank1", "mAP", "mINP")
_ABOUT = "From the runs' metrics.jsonl and results files. A point of a loss is a mean over the epoch so far."

Panels = dict[str, list[Curve]]


def curves_section(runs: OpenRuns, title: str) -> Section:
    """Pictures of the training, of tests during it, and of the CMC; the numbers of each epoch as tables."""
    notes: list[Item] = [
        Note(
            f"The curves of {run.name}", f"{run.folder.metrics.path} has no records; the run wrote none, or it is gone"
        )
        for run in runs.files
        if not run.metrics
    ]
    training, tests = _panels(runs.files, _training), _panels(runs.files, _tests)
    blocks = [Block(notes, below=True)] if notes else []
    blocks += _drawn("Training", training, "epoch")
    if any(len(curve.x) > 1 for curves in tests.values() for curve in curves):
        blocks += _drawn("Tests during training", tests, "epoch")
    elif tests:
        blocks.append(
            Block([Text("Tested once, after the last epoch (test.eval_freq): no curve.")], "Tests during training")
        )
    blocks += _drawn("Cumulative match curves", _panels(runs.files, _cmc), "rank")
    epochs = [_epochs(run) for run in runs.files if any("step" in record for record in run.metrics)]
    return Section(
        "curves", title, _ABOUT, [*blocks, *[Block(epochs, "Numbers of each epoch", True, True)] * bool(epochs)]
    )


def _drawn(title: str, panels: Panels, xlabel: str) -> list[Block]:
    if not panels:
        return []

    def draw() -> list[Item]:
        figure = curves_figure(panels, xlabel=xlabel)
        return [picture_of(figure, f"{title} by {xlabel}: {_last(panels)}", f"{title} by {xlabel}.")]

    return [Block(attempt(title, draw), title)]


def _panels(files: list[RunFiles], curves_of: Callable[[RunFiles], dict[str, Curve]]) -> Panels:
    panels: Panels = {}
    for run in files:
        for name, curve in curves_of(run).items():
            panels.setdefault(name, []).append(curve)
    return panels


def _training(run: RunFiles) -> dict[str, Curve]:
    records = [record for record in run.metrics if "step" in record]
    steps: dict[int, int] = {}
    for record in records:
        steps[record["epoch"]] = max(record["step"], steps.get(record["epoch"], 1))
    points: dict[str, tuple[list[float], list[float]]] = {}
    for record in records:
        for name, value in _numbers(record).items():
            x, y = points.setdefault(name, ([], []))
            x.append(record["epoch"] - 1 + record["step"] / steps[record["epoch"]])
            y.append(value)
    return {name: Curve(run.name, x, y) for name, (x, y) in points.items()}


def _numbers(record: dict[str, Any]) -> dict[str, float]:
    found = {name: value for name, value in record.items() if name not in _PLACES}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _tests(run: RunFiles) -> dict[str, Curve]:
    """In per cent; a final test comes last and stands at the epoch of its weights."""
    points: dict[str, dict[int, float]] = {}
    for record in run.metrics:
        for name in _SCORES if "dataset" in record else ():
            if name in record and not (record.get("final") and record.get("selection") != "last"):
                title = f"{record.get('protocol') or record['dataset']}\n{name}, %"
                points.setdefault(title, {})[record["epoch"]] = 100 * float(record[name])
    return {title: Curve(run.name, list(at), list(at.values())) for title, at in points.items()}


def _cmc(run: RunFiles) -> dict[str, Curve]:
    curves = {}
    for dataset, record in run.results.items():
        for result in record.get("results", []):
            trials = [trial["cmc"] for trial in result.get("trials", []) if trial.get("cmc")]
            if trials:
                mean = 100 * np.mean(trials, axis=0)
                title = f"{result['protocol']}\n{dataset}, % found"
                curves[title] = Curve(run.name, list(range(1, len(mean) + 1)), mean.tolist())
    return curves


def _last(panels: Panels) -> str:
    """The end of every curve, in words."""
    ends = [
        f"{' '.join(name.split())} of {curve.label} {curve.y[-1]:.4g} at {curve.x[-1]:g}"
        for name, curves in panels.items()
        for curve in curves
    ]
    return "; ".join(ends) + "."


def _epochs(run: RunFiles) -> Table:
    """The last record of each epoch."""
    records = [record for record in run.metrics if "step" in record]
    last = {record["epoch"]: _numbers(record) for record in records}
    names = list(dict.fromkeys(name for record in last.values() for name in record))
    rows = [
        [Cell(str(epoch)), *(Cell(f"{record[name]:.4g}" if name in record else "–") for name in names)]
        for epoch, record in last.items()
    ]
    return Table(run.name, ("Epoch", *names), rows, numbers=True)
