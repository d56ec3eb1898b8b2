"""The parts of a report, from top to bottom."""

from __future__ import annotations

from collections.abc import Callable

from promptreid.visual.report.configuration import configuration_section
from promptreid.visual.report.content import Section
from promptreid.visual.report.curves import curves_section
from promptreid.visual.report.diagnostics import diagnostics_section
from promptreid.visual.report.environment import environment_section
from promptreid.visual.report.open_runs import OpenRuns
from promptreid.visual.report.pictures import (
    attention_section,
    batch_section,
    distances_section,
    embedding_section,
    prompts_section,
    ranks_section,
)
from promptreid.visual.report.results import results_section

PARTS: dict[str, tuple[str, Callable[[OpenRuns, str], Section]]] = {
    "results": ("Results", results_section),
    "curves": ("Curves", curves_section),
    "ranks": ("Ranked lists", ranks_section),
    "embedding": ("Embedding", embedding_section),
    "distances": ("Distances", distances_section),
    "attention": ("Attention", attention_section),
    "prompts": ("Prompts", prompts_section),
    "diagnostics": ("Diagnostics of the prompts", diagnostics_section),
    "batch": ("Training batch", batch_section),
    "configuration": ("Configuration", configuration_section),
    "environment": ("Environment and origin", environment_section),
}
"""Each part's title and what makes it, by its name."""
SKIPPABLE = (*PARTS, "intervals")
"""What a report can be asked to leave out; without the intervals, tables of results need neither data nor model."""
