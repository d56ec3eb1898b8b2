"""What a person sees while a model trains: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import datetime
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

from promptreid.engine.distributed.process_group import is_writer
from promptreid.engine.step_timer import StepTimer

logger = logging.getLogger(__name__)


def progress(iterable: Any, description: str, total: int | None = None) -> Any:
    """``iterable`` with a bar on standard error, silent where that is not a terminal; its length is ``total``."""
    return tqdm(iterable, desc=description, total=total, leave=False, disable=_silent(), dynamic_ncols=True)


def _silent() -> bool:
    return not (sys.stderr.isatty() and is_writer())


class EpochMeter:
    """Averages of one epoch, its speed and the time left.

    Args:
        epoch: 0-based.
        max_epoch: of the whole run.
        num_batches: of one epoch.
        print_freq: batches between two log lines.
        timer: told of the waits for data.
    """

    def __init__(
        self, epoch: int, max_epoch: int, num_batches: int, print_freq: int, timer: StepTimer | None = None
    ) -> None:
        self.epoch, self.max_epoch = epoch, max_epoch
        self.num_batches, self.print_freq = num_batches, print_freq
        self.timer = timer or StepTimer()
        self.batches = 0
        self.data_time = 0.0
        self.start = time.perf_counter()
        self._sums: dict[str, float] = {}
        # Of this process alone: what an interrupted one has done before says nothing about the speed now.
        self._batches_here = self._images_here = 0
        self._bar: Any = None

    def watch(self, loader: Iterator[Any]) -> Iterator[Any]:
        """The loader's batches, timed."""
        self._bar = tqdm(
            total=self.num_batches,
            initial=self.batches,
            desc=f"epoch {self.epoch + 1}/{self.max_epoch}",
            leave=False,
            disable=_silent(),
            dynamic_ncols=True,
        )
        with self._bar:
            while True:
                waiting = time.perf_counter()
                self.timer.begin()
                with self.timer.phase("data"):
                    batch = next(loader, None)
                if batch is None:
                    return
                self.data_time += time.perf_counter() - waiting
                yield batch

    def update(self, images: int, summary: dict[str, float], lr: float) -> bool:
        """Account for one finished batch.

        Returns:
            whether it was time for a log line.
        """
        self.batches += 1
        self._batches_here += 1
        self._images_here += images
        for name, value in summary.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._bar.update()
        self._bar.set_postfix_str(f"{self.speed():.0f} img/s, eta {self.eta()}")
        due = self.batches % self.print_freq == 0 or self.batches == self.num_batches
        if due:
            losses = "  ".join(f"{name} {value:.3f}" for name, value in self.averages().items())
            logger.info(
                "epoch %d/%d  batch %d/%d  %s  data %.3f  lr %.2e  %.0f img/s  eta %s",
                self.epoch + 1,
                self.max_epoch,
                self.batches,
                self.num_batches,
                losses,
                self.data_seconds(),
                lr,
                self.speed(),
                self.eta(),
            )
        return due

    def averages(self) -> dict[str, float]:
        """Mean of each part of the loss over the epoch so far."""
        return {name: total / self.batches for name, total in self._sums.items()}

    def data_seconds(self) -> float:
        """Mean wait for a batch."""
        return self.data_time / max(self._batches_here, 1)

    def speed(self) -> float:
        """Images per second."""
        return self._images_here / max(time.perf_counter() - self.start, 1e-9)

    def eta(self) -> str:
        """Time left in the run, as h:mm:ss."""
        left = self.num_batches * (self.max_epoch - self.epoch) - self.batches
        seconds = (time.perf_counter() - self.start) / max(self._batches_here, 1) * max(left, 0)
        return str(datetime.timedelta(seconds=int(seconds)))

    def state_dict(self) -> dict[str, Any]:
        """The batches so far and the sums of their losses."""
        return {"batches": self.batches, "sums": dict(self._sums)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state_dict()``."""
        self.batches, self._sums = state["batches"], dict(state["sums"])
