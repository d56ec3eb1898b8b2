"""Ctrl-C and SIGTERM: a training finishes its step and saves before it goes."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from promptreid.engine.checkpoints.loader_workers import deaths_explained
from promptreid.engine.distributed.process_group import largest

logger = logging.getLogger(__name__)


class StopRequest:
    """Within its block, the first SIGTERM or Ctrl-C is noted, and a second Ctrl-C interrupts at once.

    In another than the main thread, where Python delivers no signals, it does nothing. A signal to one of several
    processes that train together ends all of them.

    Attributes:
        signal: what was noted; None so far.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._previous: dict[int, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> StopRequest:
        self.signal, self._process = None, os.getpid()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def hold_children(self) -> None:
        """Until the end of the block, let no end of a loader worker interrupt what is going on.

        torch's handler raises its error wherever the process is, such as in the middle of a step. Without it the end
        is noticed, within seconds, when the next batch is waited for, which is between two steps.
        """
        number = getattr(signal, "SIGCHLD", None)  # not on Windows
        if self._previous and number is not None and number not in self._previous:
            self._previous[number] = signal.signal(number, signal.SIG_DFL)

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self.signal, self._previous = None, {}

    def asked(self) -> bool:
        """Whether there was a signal, to any of the processes; all processes call it."""
        number = largest(self.signal or 0)
        if number:
            self.signal = signal.Signals(number)
        return bool(number)

    def leave_if_asked(self) -> None:
        """Raise what ends the process with the signal's exit code, if there was one; all processes call it.

        Raises:
            KeyboardInterrupt: after Ctrl-C (130).
            SystemExit: after SIGTERM (143).
        """
        if not self.asked():
            return
        assert self.signal is not None
        logger.warning("%s: leaving; --resume goes on from the last checkpoint", self.signal.name)
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + self.signal)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            _in_worker(number)
            return
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is None:
            self.signal = signal.Signals(number)
            self.hold_children()  # which may have got the signal, too
            again = "; once more to leave at once" if number == signal.SIGINT else ""
            logger.warning("%s: finishing the step, then saving%s", self.signal.name, again)


def batches_of(loader: Any) -> Iterator[Any]:
    """``iter(loader)``, whose workers do not hear Ctrl-C: it is for the main process to finish its step and to save.

    A worker that is spawned, not forked, would otherwise die of it, and torch would end the training with an error. A
    process ignores what was ignored when it was started.

    Raises:
        WorkerDied: while iterating, when a worker has.
    """
    if threading.current_thread() is not threading.main_thread():
        return _watched(iter(loader))
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return _watched(iter(loader))
    finally:
        signal.signal(signal.SIGINT, handler)


def _watched(batches: Iterator[Any]) -> Iterator[Any]:
    while True:
        with deaths_explained(batches):
            try:
                batch = next(batches)
            except StopIteration:
                return
        yield batch


def _in_worker(number: int) -> None:
    """A forked loader worker: Ctrl-C is for the main process to answer, SIGTERM ends it as ever."""
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
