"""What a training keeps of an epoch that a dead loader worker ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from promptreid.engine.checkpoints.loader_workers import WorkerDied
from promptreid.engine.distributed.process_group import world_size


@contextmanager
def kept_steps(engine: Any, meter: Any) -> Iterator[None]:
    """Around an epoch's batches: when a worker dies, a process that trains alone writes the steps that are done.

    Several processes would have to do so together, of which the others know nothing.

    Args:
        engine: a ``PromptEngine``.
        meter: of the epoch.
    """
    engine.stop.hold_children()
    try:
        yield
    except WorkerDied:
        if world_size() == 1:
            if meter.batches and not engine.updater.pending and engine.position[:2] == (engine.epoch, meter.batches):
                engine._save(meter)
            engine.stop.leave_if_asked()  # a signal to all processes has ended the worker, too
        raise
