"""Published runs trained again: the same outcomes are called the same, and one changed query is noticed."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from toy_tables import OPTS, ROWS, places
from toy_trainings import QUERIES, TESTS, toy_training

from promptreid.runs.tables import jobs
from promptreid.runs.tables.places import Places, Size
from promptreid.runs.tables.repeat import Repetition, repeat_rows, repetitions_markdown

ONE = Size(seeds=1, worlds=1)


@pytest.fixture
def published(toy: Path) -> Path:
    """Results of two seeds in three worlds, without their runs."""
    shutil.rmtree(toy / "out")
    return toy


def repeated(folder: Path, size: Size = ONE, opts: tuple[str, ...] = OPTS) -> list[Repetition]:
    return repeat_rows("toy", places(folder), size, opts)


def changing(monkeypatch: pytest.MonkeyPatch, row: str, difference: float) -> None:
    """From now on the first query of one row comes out better by this much, on another processor."""

    def train(training: object) -> None:
        toy_training(training)
        folder = training.folder  # type: ignore[attr-defined]
        if training.row.key != row:  # type: ignore[attr-defined]
            return
        file = folder / "per-query.csv"
        lines = list(csv.reader(file.open(newline="")))
        lines[1][3] = str(float(lines[1][3]) + difference)
        with file.open("w", newline="") as out:
            csv.writer(out).writerows(lines)
        made = {"commits": [], "environment": {"python": "3", "processor": "Abacus"}}
        (folder / "made_with.json").write_text(json.dumps(made))

    monkeypatch.setattr(jobs, "complete_training", train)


def test_what_comes_out_the_same_is_called_so(published: Path) -> None:
    found = repeated(published)
    assert [(one.row.key, one.run.world, one.run.seed, one.run.test) for one in found] == [
        (row.key, 11, 1 if row.trained else 0, test) for row in ROWS for test in TESTS
    ]
    assert all((one.again, one.changed) == (one.run.mAP, 0) for one in found)
    assert "6 of 6 came out the same for every query." in repetitions_markdown(found)


def test_worlds_seeds_and_rows_are_chosen(published: Path) -> None:
    found = repeated(published, Size(seeds=2, worlds=2, rows=("cccc",)))
    places_of = [(one.row.key, one.run.world, one.run.seed) for one in found[:: len(TESTS)]]
    assert places_of == [("cccc", world, seed) for world in (11, 1011) for seed in (1, 2)]


@pytest.mark.parametrize("difference", [0.1, 1e-6])
def test_a_changed_query_is_noticed(published: Path, monkeypatch: pytest.MonkeyPatch, difference: float) -> None:
    changing(monkeypatch, "bb", difference)
    found = repeated(published)
    assert [one.changed for one in found] == [0, 0, 1, 0, 0, 0]
    text = repetitions_markdown(found)
    assert f"| {QUERIES} | 1 |" in text and "5 of 6 came out the same for every query." in text
    assert text.endswith("Made with something else than what was published: processor: None, now 'Abacus'.")


def test_a_query_that_is_not_there_any_more_counts(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(training: object) -> None:
        toy_training(training)
        file = training.folder / "per-query.csv"  # type: ignore[attr-defined]
        file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")

    monkeypatch.setattr(jobs, "complete_training", train)
    assert [one.changed for one in repeated(published, Size(1, 1, 1, ("bb",)))] == [0, 1]


def test_the_configuration_is_the_published_one(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the one that the table's rows have today."""
    seen = []
    monkeypatch.setattr(jobs, "complete_training", lambda training: (seen.append(training.cfg), toy_training(training)))
    config = published / "results" / "toy" / "bb" / "config.yaml"
    config.write_text(config.read_text().replace("weight_decay: 0.1", "weight_decay: 0.7"))
    repeated(published, Size(1, 1, 1, ("bb",)))
    assert [cfg.train.weight_decay for cfg in seen] == [0.7]


def test_runs_of_the_table_are_not_taken_for_a_second_training(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    monkeypatch.setattr(jobs, "complete_training", lambda training: (trained.append(1), toy_training(training)))
    repeated(toy)
    assert len(trained) == len(ROWS)
    repeated(toy)
    assert len(trained) == len(ROWS), "a second call passes over what is finished"


def test_failures_are_told(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(training: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(jobs, "complete_training", fail)
    with pytest.raises(ValueError, match=r"3 of 3 trainings have failed.*\n.*Row A, world 11: .*no space left"):
        repeated(published)


@pytest.mark.parametrize(
    ("size", "opts", "message"),
    [
        (Size(1, 4), OPTS, r"--worlds 4: row 'a' of toy has 3; ask for fewer"),
        (Size(3, 1), OPTS, r"--seeds 3: row 'bb' of toy has 2; ask for fewer"),
        (Size(1, 1, 1, ("bbb",)), OPTS, r"--rows bbb: toy has no such row; did you mean 'bb'\? \(one of a, bb, cccc\)"),
        (ONE, ("train.max_epoch", "2"), r"train.max_epoch: --repeat trains what was published"),
        (ONE, ("data.save_dir", "x"), r"data.save_dir: each repeated run has a folder of its own"),
        (ONE, ("data.rot", "x"), r"data.rot: --repeat trains what was published"),
    ],
)
def test_what_cannot_be_repeated_is_refused_before_training(
    published: Path, monkeypatch: pytest.MonkeyPatch, size: Size, opts: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr(jobs, "complete_training", None)
    with pytest.raises(ValueError, match=message):
        repeated(published, size, opts)


def test_overlays_are_refused(published: Path) -> None:
    overlaid = replace(places(published), overlays=(Path("8gb.yaml"),))
    assert isinstance(overlaid, Places)
    with pytest.raises(ValueError, match=r"--overlay 8gb.yaml: --repeat trains what was published"):
        repeat_rows("toy", overlaid, ONE)


def test_a_table_that_is_not_there(published: Path) -> None:
    with pytest.raises(ValueError, match=r"table\.json: no such file"):
        repeat_rows("joy", places(published), ONE)
