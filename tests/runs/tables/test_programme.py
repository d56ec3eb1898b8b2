"""How much of a table is done, and how long the rest will take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toy_tables import OPTS, TOY, places, run_toy, use_toy_trainings
from toy_trainings import toy_training

from promptreid.runs.tables import jobs
from promptreid.runs.tables.places import Size
from promptreid.runs.tables.programme import Programme, in_words, logged_seconds
from promptreid.runs.tables.run_table import plan_of


def test_before_the_first_training_nothing_is_known_of_the_time(tmp_path: Path) -> None:
    assert plan_of(TOY, places(tmp_path), Size(2, 3), OPTS) == (
        "toy\n  Row A: 0 of 3 done\n  Row B: 0 of 6 done\n  Row C: 0 of 6 done\n"
        "0 of 15 trainings done, 15 to do: as long as the first one will tell"
    )
    assert not list(tmp_path.iterdir())


def test_the_time_is_that_of_finished_trainings_of_the_row_or_of_all(toy: Path) -> None:
    for row, minutes in (("bb", 10), ("cccc", 20)):
        for folder in (toy / "out" / "runs" / "synth_rgbnt" / row).glob("world-*/seed-*"):
            log = "".join(f"2026-01-01 10:{minute:02d}:00 a line\n" for minute in range(0, minutes + 1, 5))
            (folder / "log.txt").write_text(log)
    plan = plan_of(TOY, places(toy), Size(2, 4, jobs=2), OPTS)
    assert plan == (
        "toy\n  Row A: 3 of 4 done\n  Row B: 6 of 8 done, 10 min each\n  Row C: 6 of 8 done, 20 min each\n"
        # 15 + 2 x 10 + 2 x 20 minutes, two at a time
        "15 of 20 trainings done, 5 to do, 2 at a time: about 38 min"
    )
    assert plan_of(TOY, places(toy), Size(2, 3), OPTS).splitlines()[-1] == "15 of 15 trainings done"


def test_the_time_between_two_sessions_does_not_count(tmp_path: Path) -> None:
    lines = ["2026-01-01 23:59:00 a", "2026-01-02 00:01:30 b", "of many lines", "2026-01-02 08:00:00 c",
             "2026-01-02 08:00:10 d"]  # fmt: skip
    (tmp_path / "log.txt").write_text("\n".join(lines))
    assert logged_seconds(tmp_path) == 160
    assert logged_seconds(tmp_path / "absent") == 0


def test_several_at_a_time_are_no_faster_than_there_are_trainings() -> None:
    programme = Programme((), jobs=8, seconds={"x": [60.0]})
    training: Any = type("T", (), {"row": type("R", (), {"key": "x"})})
    assert programme.seconds_of([training] * 2) == 60
    assert programme.seconds_of([training] * 16) == 120
    assert programme.seconds_of([]) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (59 * 60, "59 min"), (3600, "1 h 00 min"), (12_000, "3 h 20 min")],
)
def test_times_in_words(seconds: float, text: str) -> None:
    assert in_words(seconds) == text


def test_it_tells_how_far_it_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_toy_trainings(monkeypatch)
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr(jobs.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(jobs, "complete_training", toy_training)
    run_toy(tmp_path, size=Size(1, 2, rows=("bb",)))
    lines = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert "toy: 0 of 2 trainings done, 2 to do: as long as the first one will tell" in lines
    assert "Row B, world 11, seed 1 took 2 min; 1 left, about 2 min" in lines
    assert "Row B, world 1011, seed 1 took 2 min; 0 left" in lines


@pytest.mark.parametrize("name", ["seeds", "worlds", "jobs"])
def test_none_of_them_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=f"--{name} 0: there has to be at least one"):
        Size(**{name: 0})
