"""A learning rate for each row, chosen in worlds that no table tests on, and taken from the file afterwards."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy_trainings
from toy_tables import ROWS, TOY, places, use_toy_trainings

from promptreid.runs.tables import jobs
from promptreid.runs.tables.definitions import RGBNT
from promptreid.runs.tables.places import Size
from promptreid.runs.tables.run_table import plan_of, run_table
from promptreid.runs.tables.screen import SCREEN_FILE, choices_of, screen, screen_markdown
from promptreid.runs.tables.table import Row

OWN = Row("tuned", "Tuned", RGBNT, {"train.lr": 0.02})
TABLE = replace(TOY, rows=(*ROWS, OWN))
VALUES = ("0.001", "0.005", "0.025")  # the configuration has 0.005
SIZE = Size(seeds=1, worlds=2)


@pytest.fixture(autouse=True)
def best_at(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The learning rate at which a row does best; the further from it, the worse it does."""
    best = {"bb": 0.005, "cccc": 0.001, "tuned": 0.1}
    use_toy_trainings(monkeypatch)
    whole = toy_trainings.outcomes

    def train(training: Any) -> None:
        worse = 0.1 * abs(training.cfg.train.lr - best.get(training.row.key, 0.0)) / training.cfg.train.lr
        with monkeypatch.context() as patch:
            patch.setattr(toy_trainings, "outcomes", lambda *key: whole(*key) * (1 - min(worse, 0.9)))
            toy_trainings.toy_training(training, "a" * 40)

    monkeypatch.setattr(jobs, "complete_training", train)
    return best


def screened(folder: Path, *values: str, size: Size = SIZE, table: Any = TABLE) -> dict[str, Any]:
    return screen(table, places(folder), size, "train.lr", values or VALUES)


def test_each_row_gets_the_value_that_did_best(tmp_path: Path) -> None:
    record = screened(tmp_path)
    assert {key: row["choice"] for key, row in record["rows"].items()} == {"bb": 0.005, "cccc": 0.001, "tuned": 0.1}
    assert (record["worlds"], record["seeds"], record["key"]) == ([50_011, 51_011], [1], "train.lr")
    assert record == json.loads((tmp_path / "results" / "toy" / SCREEN_FILE).read_text())
    assert {len(scores) for row in record["rows"].values() for scores in row["mAP"].values()} == {2}


def test_a_row_with_a_value_of_its_own_gets_the_same_multiples_of_it(tmp_path: Path) -> None:
    record = screened(tmp_path)
    assert record["rows"]["tuned"]["values"] == {"0.001": 0.004, "0.005": 0.02, "0.025": 0.1}
    assert record["rows"]["bb"]["values"] == {value: float(value) for value in VALUES}
    folders = sorted(path.name for path in (tmp_path / "out" / "screens" / "synth_rgbnt" / "tuned").iterdir())
    assert folders == ["train.lr=0.004", "train.lr=0.02", "train.lr=0.1"]


def test_a_value_at_the_end_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    screened(tmp_path)
    ends = [record.getMessage() for record in caplog.records if "at the end of the values" in record.getMessage()]
    assert [text.split("'")[1] for text in ends] == ["Row C", "Tuned"]


def test_a_second_call_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = screened(tmp_path)
    monkeypatch.setattr(jobs, "complete_training", None)
    assert screened(tmp_path) == record


def test_trainings_of_the_table_have_what_was_chosen(tmp_path: Path) -> None:
    screened(tmp_path)
    table = run_table(TABLE, places(tmp_path), Size(1, 1))
    rates = {row.key: row.settings["train.lr"] for row in table.published.rows}
    assert rates == {"a": 0.01, "bb": 0.005, "cccc": 0.001, "tuned": 0.1}
    assert "train.lr" not in table.published.rows[1].overrides


def test_rows_can_be_screened_one_after_the_other(tmp_path: Path) -> None:
    screened(tmp_path, size=replace(SIZE, rows=("bb",)))
    assert list(screened(tmp_path, size=replace(SIZE, rows=("cccc",)))["rows"]) == ["bb", "cccc"]
    assert list(screened(tmp_path, "0.001", "0.01", size=replace(SIZE, rows=("bb",)))["rows"]) == ["bb"]


def test_a_value_with_which_a_training_fails_is_no_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = jobs.complete_training

    def diverges(training: Any) -> None:
        if training.cfg.train.lr == 0.005 and training.world == 51_011:
            raise ValueError("the loss is not finite")
        train(training)

    monkeypatch.setattr(jobs, "complete_training", diverges)
    row = screened(tmp_path, size=replace(SIZE, rows=("bb",)))["rows"]["bb"]
    assert row["mAP"]["0.005"] is None and row["choice"] == 0.025
    monkeypatch.setattr(jobs, "complete_training", None)
    with pytest.raises(ValueError, match="row 'Row B': trainings have failed with every value"):
        screened(tmp_path / "other", size=replace(SIZE, rows=("bb",)))


def test_tables_that_share_a_row_share_its_choice(tmp_path: Path, best_at: dict[str, float]) -> None:
    screened(tmp_path)
    other = replace(TABLE, name="other")
    assert choices_of(tmp_path / "results", other)["bb"] == {"train.lr": 0.005}
    best_at["bb"] = 0.05
    screened(tmp_path, "0.05", "0.2", table=other)
    with pytest.raises(ValueError, match=r"toy.screen.json chooses .*0.005.* for 'bb', and .*0.05"):
        plan_of(TABLE, places(tmp_path), Size())


def test_a_row_of_another_configuration_has_none(tmp_path: Path) -> None:
    screened(tmp_path)
    moved = replace(TABLE, rows=tuple(replace(row, config="worlds/synth_vi.yaml") for row in ROWS))
    assert choices_of(tmp_path / "results", moved) == {}


def test_the_outcome_as_a_table(tmp_path: Path) -> None:
    record = screened(tmp_path)
    record["rows"]["bb"]["mAP"]["0.001"] = None
    lines = screen_markdown(record).splitlines()
    assert lines[0] == "| train.lr | 0.001 | 0.005 | 0.025 | chosen | lead |"
    assert lines[2].startswith("| bb | – | ") and " | 0.005 | " in lines[2]


@pytest.mark.parametrize(
    ("scores", "lead"),
    [
        ({"1": [0.30, 0.40], "2": [0.31, 0.43], "3": [0.1, 0.1]}, "2.0 ± 1.0"),  # leads of 1 and 3 points
        ({"1": [0.50, 0.10], "2": [0.29, 0.29], "3": None}, "1.0 ± 20.0"),
        ({"1": [0.5], "2": [0.4], "3": [0.3]}, "10.0"),
        ({"1": [0.5], "2": None, "3": None}, "–"),
    ],
)
def test_the_lead_of_the_best_value_has_its_error(scores: dict[str, Any], lead: str) -> None:
    record = {"key": "train.lr", "values": list(scores), "rows": {"x": {"mAP": scores, "choice": 1.0}}}
    assert screen_markdown(record).splitlines()[2].endswith(f" | 1 | {lead} |")


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("train.lr", ["0.1"], "at least two numbers above 0, each once"),
        ("train.lr", ["0.1", "0.10"], "each once"),
        ("train.lr", ["0.1", "-1"], "above 0"),
        ("train.lr", ["0.1", "x"], "could not convert string to float: 'x'; give numbers"),
        ("train.lrr", ["0.1", "1"], "there is no such key; did you mean 'train.lr'"),
        ("train.optim", ["0.1", "1"], "it is 'adamw' in worlds/synth_rgbnt.yaml"),
        ("train.staged_lr", ["0.1", "1"], "numbers above 0 can be screened"),
    ],
)
def test_what_cannot_be_screened(tmp_path: Path, key: str, values: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        screen(TABLE, places(tmp_path), SIZE, key, values)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no JSON"),
        ('{"format": 1, "key": "train.lr"}', "values is missing"),
        (
            '{"format": 1, "key": "k", "values": [], "worlds": [], "seeds": [], "rows": {"bb": {}}}',
            "config or choice of a row is missing",
        ),
        ('{"format": 9, "key": "k", "values": [], "worlds": [], "seeds": [], "rows": {}}', "format 9, read is 1"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "results" / "toy" / SCREEN_FILE
    file.parent.mkdir(parents=True)
    file.write_text(content)
    with pytest.raises(ValueError, match=rf"screen\.json: {message}"):
        plan_of(TABLE, places(tmp_path), Size())
