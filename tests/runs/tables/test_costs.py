"""Seconds per step, read from the logs of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from promptreid.engine.step_timer import StepTimer
from promptreid.runs.tables.costs import step_seconds


def log(folder: Path, *lines: str) -> Path:
    folder.mkdir()
    (folder / "log.txt").write_text("\n".join(f"2026-01-01 00:00:00 epoch 1/2  {line}" for line in lines) + "\n")
    return folder


def test_the_median_of_all_epochs_without_waiting_for_data(tmp_path: Path) -> None:
    first = log(
        tmp_path / "a",
        "step 0.200 s: data 50 %, forward 20 %, backward 25 %, optimiser 5 %",
        "batch 20/31  loss 4.027  data 0.016",
        "step 9.000 s: data 0 %, forward 50 %, backward 45 %, optimiser 5 %",
    )
    second = log(tmp_path / "b", "step 0.300 s: data 0 %, forward 50 %, backward 45 %, optimiser 5 %")
    assert step_seconds([first, second]) == pytest.approx(0.3)
    assert step_seconds([first]) == pytest.approx((0.1 + 9) / 2)


def test_without_logs_nothing_is_known(tmp_path: Path) -> None:
    assert step_seconds([log(tmp_path / "a", "Elapsed 0:00:34"), tmp_path / "absent"]) is None


def test_it_reads_what_the_timer_writes(tmp_path: Path) -> None:
    timer = StepTimer()
    timer.seconds = {"data": 1.0, "forward": 2.0, "backward": 4.5, "optimiser": 0.5}
    timer.measured = 10
    assert step_seconds([log(tmp_path / "a", timer.line())]) == pytest.approx(0.7, abs=0.01)
