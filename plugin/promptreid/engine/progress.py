"""What a person sees while a model trains: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import datetime
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm

logger = logging.getLogger(__name__)


def progress(iterable: Any, description: str) -> Any:
    """``iterable`` with a bar on standard error, silent where that is not a terminal."""
    return tqdm(iterable, desc=description, leave=False, disable=not sys.stderr.isatty(), dynamic_ncols=True)


class EpochMeter:
    """Averages of one epoch, its speed and the time left.

    Args:
        epoch: 0-based.
        max_epoch: of the whole run.
        num_batches: of one epoch.
        print_freq: batches between two log lines.
    """

    def __init__(self, epoch: int, max_epoch: int, num_batches: int, print_freq: int) -> None:
        self.epoch, self.max_epoch = epoch, max_epoch
        self.num_batches, self.print_freq = num_batches, print_freq
        self.batches = self.images = 0
        self.data_time = 0.0
        self.start = time.perf_counter()
        self._sums: dict[str, float] = {}
        self._bar: Any = None

    def watch(self, loader: Iterable[Any]) -> Iterator[Any]:
        """The loader's batches, timed."""
        self._bar = tqdm(
            total=self.num_batches,
            desc=f"epoch {self.epoch + 1}/{self.max_epoch}",
            leave=False,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )
        with self._bar:
            waiting = time.perf_counter()
            for batch in loader:
                self.data_time += time.perf_counter() - waiting
                yield batch
                waiting = time.perf_counter()

    def update(self, images: int, summary: dict[str, float], lr: float) -> None:
        """Account for one finished batch."""
        self.batches += 1
        self.images += images
        for name, value in summary.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._bar.update()
        self._bar.set_postfix_str(f"{self.speed():.0f} img/s, eta {self.eta()}")
        if self.batches % self.print_freq == 0 or self.batches == self.num_batches:
            losses = "  ".join(f"{name} {value:.3f}" for name, value in self.averages().items())
            logger.info(
                "epoch %d/%d  batch %d/%d  %s  lr %.2e  %.0f img/s  eta %s",
                self.epoch + 1,
                self.max_epoch,
                self.batches,
                self.num_batches,
                losses,
                lr,
                self.speed(),
                self.eta(),
            )

    def averages(self) -> dict[str, float]:
        """Mean of each part of the loss over the epoch so far, and of the seconds waited for data."""
        means = {name: total / self.batches for name, total in self._sums.items()}
        return {**means, "data": self.data_time / self.batches}

    def speed(self) -> float:
        """Images per second."""
        return self.images / max(time.perf_counter() - self.start, 1e-9)

    def eta(self) -> str:
        """Time left in the run, as h:mm:ss."""
        left = self.num_batches * (self.max_epoch - self.epoch) - self.batches
        seconds = (time.perf_counter() - self.start) / self.batches * left
        return str(datetime.timedelta(seconds=int(seconds)))
