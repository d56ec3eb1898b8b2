"""Change of the prompts in training, by their method's measures."""

from __future__ import annotations

from promptreid.runs.prompt_diagnostics import PromptReport, diagnose_prompts
from promptreid.visual.report.content import Block, Cell, Item, Section, Table
from promptreid.visual.report.open_runs import OpenRuns
from promptreid.visual.trained_run import TrainedRun

_ABOUT = (
    "On the test images, by layer: the model as it was built (before) and as it was trained (after). The pages of the "
    "methods in docs, under Diagnostics, say what the measures mean."
)


def diagnostics_section(runs: OpenRuns, title: str) -> Section:
    """A table of each run."""

    def listed(run: TrainedRun) -> list[Item]:
        return [measures_table(run.name, diagnose_prompts(run.cfg))]

    return Section("diagnostics", title, _ABOUT, [Block(runs.of_each("The diagnostics", listed), below=True)])


def measures_table(name: str, report: PromptReport) -> Table:
    """The measures of a report, before and after training, layer by layer."""
    numbers = report.as_dict()
    layers = max((len(values) for stage in ("before", "after") for values in numbers[stage].values()), default=0)
    rows = []
    for measure, label in report.after.labels.items():
        for stage in ("before", "after"):
            values = numbers[stage][measure]
            cells = [Cell("–" if value is None else f"{value:.3g}") for value in values]
            rows.append([Cell(label), Cell(stage), *cells, *[Cell("")] * (layers - len(cells))])
    identities = report.identities
    caption = f"{name}: {identities} unseen identities (chance {1 / identities:.3f})"
    return Table(
        caption, ("Measure", "Training", *(f"Layer {layer}" for layer in range(1, layers + 1))), rows, numbers=True
    )
