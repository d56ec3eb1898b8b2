"""Trainings one after the other in this process, or several at a time in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from promptreid.config import dump_config
from promptreid.errors import message_of
from promptreid.files import write_text
from promptreid.runs.tables.made_with import code_commit
from promptreid.runs.tables.rows import Training, complete_training

_WORKER = "promptreid.runs.tables.worker"
_PAUSE = 0.1  # seconds between two looks at the processes


class Failure(NamedTuple):
    """A training that has failed, why, and the file that has more of it."""

    training: Training
    reason: str
    log: Path


Ended = Callable[[Training, float, "Failure | None"], None]
"""Called after each training with its seconds, and with its failure where it has failed."""


def carry_out(trainings: Sequence[Training], jobs: int, ended: Ended) -> None:
    """Complete trainings in their order; one that fails keeps no other from running.

    Args:
        trainings: that aren't finished.
        jobs: how many at a time. With one they run in this process, with more each in one of its own, with its share
            of the cores.
        ended: called after each.

    Raises:
        KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM, once all trainings have written a checkpoint.
    """
    if jobs == 1:
        for training in trainings:
            started = time.monotonic()
            failure = _here(training)
            ended(training, time.monotonic() - started, failure)
        return
    with _sigterm_raises():
        _side_by_side(trainings, jobs, ended)


def log_of(training: Training) -> Path:
    """What a training has printed, beside its folder: also before there is a log in there."""
    return training.folder.with_name(f"{training.folder.name}.log")


def _here(training: Training) -> Failure | None:
    try:
        complete_training(training)
    except Exception as error:
        write_text(log_of(training), "".join(traceback.format_exception(error)))
        return Failure(training, message_of(error), log_of(training))
    log_of(training).unlink(missing_ok=True)
    return None


def _side_by_side(trainings: Sequence[Training], jobs: int, ended: Ended) -> None:
    waiting, running = deque(trainings), dict[subprocess.Popen[bytes], tuple[Training, float]]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                training = waiting.popleft()
                running[_start(training, jobs)] = training, time.monotonic()
            for process in [process for process in running if process.poll() is not None]:
                training, started = running.pop(process)
                ended(training, time.monotonic() - started, _failure(training, process.returncode))
            time.sleep(_PAUSE)
    finally:
        for process in running:
            process.terminate()  # it writes a checkpoint first
        for process in running:
            process.wait()


def _start(training: Training, jobs: int) -> subprocess.Popen[bytes]:
    log = log_of(training)
    log.parent.mkdir(parents=True, exist_ok=True)
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    order = {"config": dump_config(training.cfg), "trained": training.row.trained, "missing": training.missing}
    order["commit"] = code_commit()
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", _WORKER],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": threads},
        )
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(order).encode())
        process.stdin.close()
    except BrokenPipeError:  # it has died at once; its log says why
        pass
    return process


def _failure(training: Training, code: int) -> Failure | None:
    if code == 0:
        log_of(training).unlink(missing_ok=True)
        return None
    log = log_of(training)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    reason = lines[-1] if lines and code > 0 else f"its process ended with code {code}"
    return Failure(training, reason, log)


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Within the block SIGTERM is an exception, so that the processes of trainings are told, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: Any) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
