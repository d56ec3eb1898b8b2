"""Event files cut back to a checkpoint: each kind of tag by its own count."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from promptreid.engine.checkpoints.position import Position
from promptreid.engine.loggers.event_files import PATTERN, cut_events


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three epochs of four batches, each tested, with a tag of somebody else's."""
    with SummaryWriter(str(tmp_path)) as writer:
        for batch in range(12):
            writer.add_scalar("Train/loss", batch, batch)
            writer.add_scalar("Mine/own", batch, batch)
        for epoch in range(3):
            writer.add_scalar("Prompts/gradient/prompts", epoch, epoch)
            writer.add_scalar("Test/set/mAP", epoch, epoch)
            for rank in range(1, 21):
                writer.add_scalar(f"CMC/set/protocol/epoch_{epoch + 1:03d}", rank, rank)
        writer.add_scalar("Final/set/mAP", 1, 0)
    return tmp_path


def steps(folder: Path) -> dict[str, list[int]]:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [event.step for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.mark.parametrize(
    ("position", "batches", "epochs", "tests"),
    [
        (Position(2, 0, 8, True), 8, 2, 2),
        (Position(2, 0, 8, False), 8, 2, 1),  # killed in the test
        (Position(1, 2, 6, True), 6, 1, 1),  # within the second epoch
        (Position(3, 0, 12, True), 12, 3, 3),
    ],
)
def test_what_was_written_after_the_position_is_gone(
    position: Position, batches: int, epochs: int, tests: int, folder: Path
) -> None:
    cut_events(folder, position)
    found = steps(folder)
    assert found["Train/loss"] == list(range(batches)) and found["Mine/own"] == list(range(12))
    assert found["Prompts/gradient/prompts"] == list(range(epochs)) and "Final/set/mAP" not in found
    assert found["Test/set/mAP"] == list(range(tests))
    curves = [tag for tag in found if tag.startswith("CMC")]
    assert curves == [f"CMC/set/protocol/epoch_{number:03d}" for number in range(1, tests + 1)]
    assert all(found[tag] == list(range(1, 21)) for tag in curves)  # ranks are no steps


def test_at_the_start_everything_of_a_training_is_dropped(folder: Path) -> None:
    cut_events(folder, Position())
    assert steps(folder) == {"Mine/own": list(range(12))}


def test_a_file_from_which_nothing_is_dropped_stays_as_it_is(folder: Path) -> None:
    cut_events(folder, Position(3, 0, 12, True))
    (path,) = folder.glob(PATTERN)
    before = path.stat().st_mtime_ns
    cut_events(folder, Position(3, 0, 12, True))
    assert path.stat().st_mtime_ns == before


def test_the_torn_end_of_a_killed_process_is_left_out(folder: Path) -> None:
    (path,) = folder.glob(PATTERN)
    path.write_bytes(path.read_bytes()[:-7])
    cut_events(folder, Position(2, 0, 8, True))
    assert steps(folder)["Train/loss"] == list(range(8))
