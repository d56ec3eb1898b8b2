"""The runs of a report, with their models and data where these are there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from promptreid.errors import message_of
from promptreid.evaluation.statistics.per_query import PerQuery
from promptreid.visual.report.content import Item, Note
from promptreid.visual.report.run_files import RunFiles
from promptreid.visual.trained_run import TrainedRun, open_run

logger = logging.getLogger(__name__)

T = TypeVar("T")
_USUAL = (ValueError, OSError)


@dataclass(frozen=True)
class ReportOptions:
    """Options of a report.

    Attributes:
        root: folder of the data sets, where it is not where it was (``data.root``).
        dataset: a data set to look at instead of the runs' own targets.
        queries: ranked lists of each kind.
        seed: of all that is drawn by chance.
        skip: names of parts that are left out, of :data:`promptreid.visual.report.parts.SKIPPABLE`.
    """

    root: str = ""
    dataset: str = ""
    queries: int = 8
    seed: int = 0
    skip: Sequence[str] = ()


class OpenRuns:
    """Runs that are opened when a part needs more than their small files, each once.

    Args:
        files: of the runs.
        options: of the report.
    """

    def __init__(self, files: Sequence[RunFiles], options: ReportOptions) -> None:
        self.files, self.options = list(files), options
        self._opened: dict[str, TrainedRun | Exception] = {}
        self._outcomes: dict[str, PerQuery | Exception] = {}

    def opened(self, run: RunFiles) -> TrainedRun:
        """A run with its data, its model and its weights.

        Raises:
            Exception: what keeps it from being opened; the same each time.
        """
        return _once(self._opened, run.name, lambda: self._open(run))

    def per_query(self, run: RunFiles) -> PerQuery:
        """The outcome of every query of a run; raises as :meth:`opened` does."""
        return _once(self._outcomes, run.name, lambda: self.opened(run).per_query)

    def of_each(self, what: str, make: Callable[[TrainedRun], Sequence[Item]]) -> list[Item]:
        """What a function makes of each run, in their order, with a note where it could not."""
        found: list[Item] = []
        for run in self.files:
            found += attempt(f"{what} of {run.name}", partial(self._made, run, make))
        return found

    def _made(self, run: RunFiles, make: Callable[[TrainedRun], Sequence[Item]]) -> Sequence[Item]:
        return make(self.opened(run))

    def _open(self, run: RunFiles) -> TrainedRun:
        opened = open_run(run.folder.path, root=self.options.root, dataset=self.options.dataset)
        opened.name = run.name
        return opened


def attempt(what: str, make: Callable[[], Sequence[Item]]) -> list[Item]:
    """What a function makes, or a note with the reason: one part that fails costs the report no other.

    Args:
        what: the name of the part in the note.
        make: the function.
    """
    try:
        return list(make())
    except Exception as error:  # others' models and data sets raise what they like
        logger.warning("%s could not be made: %s", what, error, exc_info=not isinstance(error, _USUAL))
        return [Note(what, reason_of(error))]


def reason_of(error: Exception) -> str:
    """An error in words for a page."""
    text = message_of(error)
    return text if text and isinstance(error, _USUAL) else f"{type(error).__name__}: {text}"


def _once(kept: dict[str, T | Exception], name: str, make: Callable[[], T]) -> T:
    """What a function made the first time, or raised."""
    if name not in kept:
        try:
            kept[name] = make()
        except Exception as error:
            kept[name] = error
    found = kept[name]
    if isinstance(found, Exception):
        raise found
    return found
