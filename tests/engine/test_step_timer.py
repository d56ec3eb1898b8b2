"""Where a step's time goes."""

from __future__ import annotations

import itertools

import pytest

from promptreid.engine import step_timer as timing
from promptreid.engine.step_timer import PHASES, StepTimer


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that ticks by one second at each look."""
    ticks = itertools.count()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(ticks)))


def steps(timer: StepTimer, count: int) -> None:
    for _ in range(count):
        timer.begin()
        for phase in PHASES:
            with timer.phase(phase):
                pass


def test_each_step_is_measured_and_shared_out() -> None:
    timer = StepTimer()
    assert timer.line() == ""
    steps(timer, 3)
    assert timer.line() == "step 4.000 s: data 25 %, forward 25 %, backward 25 %, optimiser 25 %"


def test_a_wait_for_data_that_does_not_come_is_no_step() -> None:
    timer = StepTimer()
    steps(timer, 1)
    timer.begin()
    with timer.phase("data"):
        pass
    assert timer.measured == 1


def test_a_gpu_is_waited_for_in_one_step_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[None] = []
    monkeypatch.setattr(timing.torch.cuda, "synchronize", lambda: waits.append(None))
    timer = StepTimer(cuda=True, every=4)
    steps(timer, 3)
    assert not waits and timer.line() == ""
    steps(timer, 6)
    assert timer.measured == 2 and len(waits) == 2 * 2 * len(PHASES)
