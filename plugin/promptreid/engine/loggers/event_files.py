"""TensorBoard's event files, cut back to a checkpoint, so that nothing in them stands twice.

TensorBoard's own purging compares one step with those of all tags, and here some count batches, others epochs or
ranks. So it is used for viewers that are open, and the files themselves are cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from promptreid.engine.checkpoints.position import Position
from promptreid.files import atomic_write

PATTERN = "events.out.tfevents.*"
_EPOCH = re.compile(r"epoch_(\d+)$")
_Rule = Callable[[Position, int, str], bool]


def _of_batches(position: Position, step: int, tag: str) -> bool:
    return step < position.batches


def _of_epochs(position: Position, step: int, tag: str) -> bool:
    return step < position.epoch


def _of_tests(position: Position, step: int, tag: str) -> bool:
    return step < position.epoch - 1 + position.evaluated


def _of_curves(position: Position, step: int, tag: str) -> bool:
    match = _EPOCH.search(tag)
    return match is not None and _of_tests(position, int(match[1]) - 1, tag)


def _again(position: Position, step: int, tag: str) -> bool:
    return False  # written anew by each process, or when a run ends


_RULES: dict[str, _Rule] = {
    "Train": _of_batches, "LR": _of_batches, "Speed": _of_batches, "Memory": _of_batches,
    "Prompts": _of_epochs, "Gradients": _of_epochs, "Cosines": _of_epochs, "Batches": _of_epochs,
    "Test": _of_tests, "PR": _of_tests, "Ranked": _of_tests, "CMC": _of_curves,
    "Final": _again, "_hparams_": _again, "custom_scalars__config__": _again,
}  # fmt: skip
"""Whether a value was written before a position, by the first part of its tag."""


def cut_events(folder: Path, position: Position) -> None:
    """Drop from the event files of a folder what was written after ``position``; tags of others stay.

    Args:
        folder: of the run.
        position: where it goes on; at its start, everything is dropped.
    """
    for path in sorted(folder.glob(PATTERN)):
        records = list(RawEventFileLoader(str(path)).Load())
        kept = [record for record in (_cut(record, position) for record in records) if record is not None]
        if kept == records:
            continue
        with atomic_write(path) as file:
            writer = RecordWriter(file)
            for record in kept:
                writer.write(record)


def _cut(record: bytes, position: Position) -> bytes | None:
    """The record without values that are dropped, None without any."""
    event = Event.FromString(record)
    if not event.HasField("summary"):
        return record
    kept = [value for value in event.summary.value if _is_before(value, event.step, position)]
    if len(kept) == len(event.summary.value):
        return record
    return _with(event, kept) if kept else None


def _with(event: Any, values: list[Any]) -> bytes:
    shorter = Event.FromString(event.SerializeToString())
    del shorter.summary.value[:]
    shorter.summary.value.extend(values)
    content: bytes = shorter.SerializeToString()
    return content


def _is_before(value: Any, step: int, position: Position) -> bool:
    rule = _RULES.get(value.tag.partition("/")[0])
    return rule is None or rule(position, step, value.tag)
