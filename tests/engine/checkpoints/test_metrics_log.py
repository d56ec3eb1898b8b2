"""The file of losses: cut back to a checkpoint, it is as if the run had ended there."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid.engine.checkpoints.metrics_log import MetricsLog
from promptreid.engine.checkpoints.position import Position

EPOCHS, STEPS = 3, 4


def story() -> list[tuple[Position, dict[str, object]]]:
    """What a run of three epochs writes, each with the first position at which it is written."""
    told: list[tuple[Position, dict[str, object]]] = []
    for epoch in range(EPOCHS):
        for step in range(1, STEPS + 1):
            place = Position(epoch, step, evaluated=True) if step < STEPS else Position(epoch + 1)
            told.append((place, {"epoch": epoch + 1, "step": step, "loss": 0.1 * step}))
        told.append((Position(epoch + 1, evaluated=True), {"epoch": epoch + 1, "dataset": "d", "mAP": 0.5}))
    told.append((Position(99), {"epoch": EPOCHS, "dataset": "d", "mAP": 0.5, "final": True}))
    return told


PLACES = [place for place, _ in story()[:-1]]


@given(st.sampled_from(PLACES), st.text(max_size=9).filter(lambda text: "\n" not in text and "\r" not in text))
@settings(max_examples=60, deadline=None)
def test_what_came_after_the_checkpoint_goes(tmp_path_factory, place: Position, torn: str) -> None:
    log = MetricsLog(tmp_path_factory.mktemp("log") / "metrics.jsonl")
    for _, record in story():
        log.write(record)
    with open(log.path, "a", encoding="utf-8") as file:
        file.write(torn)
    log.cut(place)
    kept = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert kept == [record for _, record in story()[: PLACES.index(place) + 1]]


def test_a_new_run_starts_with_an_empty_file_and_another_folder_with_a_copy(tmp_path: Path) -> None:
    first, second = MetricsLog(tmp_path / "a" / "metrics.jsonl"), MetricsLog(tmp_path / "b" / "metrics.jsonl")
    first.cut(Position())
    first.write({"epoch": 1, "step": 2})
    second.cut(Position(0, 2), first.path)
    assert first.path.read_text() == second.path.read_text() == '{"epoch": 1, "step": 2}\n'
    first.cut(Position())
    assert first.path.read_text() == ""


def test_what_was_written_is_read_back_without_torn_lines(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    assert log.records() == []
    log.write({"epoch": 1, "step": 2, "loss": 0.5})
    log.write({"epoch": 1, "dataset": "x"})
    with open(log.path, "a") as file:
        file.write('{"epoch": 2, "lo')
    assert log.records() == [{"epoch": 1, "step": 2, "loss": 0.5}, {"epoch": 1, "dataset": "x"}]
