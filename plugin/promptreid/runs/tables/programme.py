"""The trainings of a table in their order, what of them is done, and how long the rest will take."""

from __future__ import annotations

import logging
import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.runs.run_log import run_log
from promptreid.runs.tables.jobs import Failure, carry_out
from promptreid.runs.tables.rows import Training

logger = logging.getLogger(__name__)

_TIME = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) ", re.MULTILINE)
_LONGEST_STEP = timedelta(minutes=10)  # between two lines of a log; what is longer was an interruption


@dataclass
class Programme:
    """What has to be trained for a table.

    Attributes:
        trainings: all, in their order: world by world, in each seed by seed across the rows. So one that was
            interrupted has whole pairs.
        jobs: how many run at a time.
        kept: runs that the results hold beside these, by the name of their row.
        seconds: that finished trainings took, by the key of their row.
    """

    trainings: Sequence[Training]
    jobs: int = 1
    kept: Mapping[str, int] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Sequence[Sequence[Training]], jobs: int = 1, kept: Mapping[str, int] | None = None) -> Programme:
        """Of the trainings of several rows; times are those in the logs of the finished ones."""
        ordered = sorted((training for row in rows for training in row), key=lambda one: (one.world, one.seed))
        programme = cls(ordered, jobs, kept or {})
        for training in ordered:
            if training.is_done():
                programme.add(training, logged_seconds(training.folder))
        return programme

    def add(self, training: Training, seconds: float) -> None:
        """A training is finished and took this long; 0 is not taken for a time."""
        if seconds > 0:
            self.seconds.setdefault(training.row.key, []).append(seconds)

    def to_do(self) -> list[Training]:
        """Those that aren't finished, in their order."""
        return [training for training in self.trainings if not training.is_done()]

    def seconds_of(self, trainings: Sequence[Training]) -> float | None:
        """How long some trainings will take together, by the median of their row's, or of all; None before the
        first."""
        known = [seconds for row in self.seconds.values() for seconds in row]
        if not known:
            return None
        usual = statistics.median(known)
        total = sum(statistics.median(self.seconds.get(training.row.key, [usual])) for training in trainings)
        return total / max(1, min(self.jobs, len(trainings)))

    def plan(self) -> str:
        """How much is done and to do, and how long it will take, row by row and in all."""
        to_do = self.to_do()
        keys = {training.row.key: training.row.name for training in self.trainings}
        lines = [f"  {name}: {number} in the results, kept" for name, number in self.kept.items()]
        for key, name in keys.items():
            mine = [training for training in self.trainings if training.row.key == key]
            left = [training for training in to_do if training.row.key == key]
            usual = f", {in_words(statistics.median(self.seconds[key]))} each" if key in self.seconds else ""
            lines.append(f"  {name}: {len(mine) - len(left)} of {len(mine)} done{usual}")
        return "\n".join([*lines, self.outlook(to_do)])

    def outlook(self, to_do: Sequence[Training]) -> str:
        """One line: done, to do, and how long it will take."""
        seconds = self.seconds_of(to_do)
        time = "as long as the first one will tell" if seconds is None else f"about {in_words(seconds)}"
        done = len(self.trainings) - len(to_do)
        at_a_time = f", {self.jobs} at a time" if self.jobs > 1 else ""
        return f"{done} of {len(self.trainings)} trainings done" + (
            f", {len(to_do)} to do{at_a_time}: {time}" if to_do else ""
        )


class Progress:
    """How far a programme has come: a bar on a terminal, and elsewhere a line after each training."""

    def __init__(self, programme: Programme, to_do: Sequence[Training]) -> None:
        from tqdm import tqdm

        self.programme, self.left = programme, list(to_do)
        self.shown = sys.stderr.isatty()
        done = len(programme.trainings) - len(to_do)
        self.bar = tqdm(
            total=len(programme.trainings), initial=done, desc="trainings", disable=not self.shown, dynamic_ncols=True,
            bar_format="{desc} {n_fmt}/{total_fmt} |{bar}| {postfix}",
        )  # fmt: skip

    def advance(self, training: Training, seconds: float, failed: bool) -> None:
        """A training has ended after so many seconds."""
        self.left.remove(training)
        if not failed:
            self.programme.add(training, seconds)
        left = self.programme.seconds_of(self.left) or 0.0
        self.bar.set_postfix_str(f"about {in_words(left)} left" if self.left else "")
        self.bar.update()
        if not self.shown:
            outcome = "failed" if failed else f"took {in_words(seconds)}"
            rest = f"{len(self.left)} left" + (f", about {in_words(left)}" if self.left and left else "")
            logger.info("%s %s; %s", training.name, outcome, rest)

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()


def complete_programme(programme: Programme, done: Callable[[Training], None] | None = None) -> list[Failure]:
    """Complete all trainings of a programme, telling how far it has come; those that have failed.

    Args:
        programme: its finished trainings are passed over.
        done: called after each that was completed.
    """
    to_do = programme.to_do()
    progress, failures = Progress(programme, to_do), []

    def ended(training: Training, seconds: float, failure: Failure | None) -> None:
        with run_log():
            progress.advance(training, seconds, failure is not None)
            if failure is not None:
                failures.append(failure)
                logger.warning("%s has failed: %s (%s)", training.name, failure.reason, failure.log)
            elif done is not None:
                done(training)

    try:
        carry_out(to_do, programme.jobs, ended)
    finally:
        progress.close()
    return failures


def raise_failures(failures: Sequence[Failure], total: int, then: str = "") -> None:
    """Raise ``ValueError`` with why trainings have failed, where any has.

    Args:
        failures: of :func:`complete_programme`.
        total: how many trainings there are.
        then: what is said behind the remedy.
    """
    if not failures:
        return
    lines = [f"{one.training.name}: {one.reason} ({one.log})" for one in failures]
    raise ValueError(
        f"{len(failures)} of {total} trainings have failed; the others are finished, and the same command goes on with "
        f"these.{then}\n" + "\n".join(lines)
    )


def logged_seconds(folder: Path) -> float:
    """How long a run took by its log, without the time between its sessions; 0 where there is none."""
    log = RunFolder(folder).log
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    times = [datetime.fromisoformat(found) for found in _TIME.findall(text)]
    gaps = [after - before for before, after in pairwise(times)]
    return sum((gap for gap in gaps if timedelta(0) <= gap <= _LONGEST_STEP), timedelta(0)).total_seconds()


def in_words(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3 h 20 min``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
