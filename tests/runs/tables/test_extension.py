"""More worlds and seeds beside the runs that a row's folder holds: the result is that of one training of all."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_tables import COMMIT, OPTS, ROWS, TOY, places, run_toy, use_toy_trainings
from toy_trainings import toy_training

from promptreid.runs.tables import jobs
from promptreid.runs.tables.places import Size
from promptreid.runs.tables.record import read_row
from promptreid.runs.tables.render import ResultTable
from promptreid.runs.tables.run_table import plan_of
from promptreid.runs.tables.table import Table

LATER = "b" * 40
MORE = Size(seeds=3, worlds=4)


@pytest.fixture
def without_runs(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results of two seeds in three worlds on another machine, at a later commit."""
    shutil.rmtree(toy / "out")
    use_toy_trainings(monkeypatch, LATER)
    return toy


def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Row, world and seed of each training from now on."""
    found: list[tuple[str, int, int]] = []

    def train(training: object) -> None:
        found.append((training.row.key, training.world, training.seed))  # type: ignore[attr-defined]
        toy_training(training, LATER)

    monkeypatch.setattr(jobs, "complete_training", train)
    return found


def test_only_what_is_missing_is_trained(without_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(monkeypatch)
    run_toy(without_runs, size=MORE, extend=True)
    there = {(world, seed) for world in (11, 1011, 2011) for seed in (1, 2)}
    everything = {(world, seed) for world in (11, 1011, 2011, 3011) for seed in (1, 2, 3)}
    wanted = {(key, *pair) for key in ("bb", "cccc") for pair in everything - there} | {("a", 3011, 0)}
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize("key", ["a", "bb", "cccc"])
def test_the_row_is_that_of_one_training_of_all(
    without_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    run_toy(without_runs, size=MORE, extend=True)
    at_once = read_row_of(tmp_path / "whole", key, monkeypatch)
    row = read_row(without_runs / "results" / "toy" / key)
    assert row.commits == [COMMIT, LATER]
    assert replace(row, commits=[], queries={}) == replace(at_once, commits=[], queries={})
    for name, column in at_once.queries.items():
        np.testing.assert_array_equal(row.queries[name], column)


def read_row_of(folder: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> object:
    use_toy_trainings(monkeypatch, LATER)
    run_toy(folder, size=MORE)
    return read_row(folder / "results" / "toy" / key)


def test_the_table_names_both_commits(without_runs: Path) -> None:
    text = run_toy(without_runs, size=MORE, extend=True).markdown()
    assert f"Rows are of 2 commits ({COMMIT[:12]}, {LATER[:12]})." in text
    assert "over 4 worlds and 3 seeds in each" in text


def test_a_second_call_trains_and_writes_nothing(without_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_toy(without_runs, size=MORE, extend=True)
    files = sorted((without_runs / "results").rglob("row.json"))
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    found = trained(monkeypatch)
    run_toy(without_runs, size=MORE, extend=True)
    assert not found and before == [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]


def test_a_row_that_is_not_there_is_trained_whole(without_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(without_runs / "results" / "toy" / "cccc")
    found = trained(monkeypatch)
    run_toy(without_runs, extend=True)
    assert found == [("cccc", world, seed) for world in (11, 1011, 2011) for seed in (1, 2)]


def test_the_plan_says_what_is_kept(without_runs: Path) -> None:
    text = plan_of(TOY, places(without_runs), MORE, OPTS, extend=True)
    assert "  Row A: 3 in the results, kept\n  Row B: 6 in the results, kept\n" in text
    assert "  Row B: 0 of 6 done\n" in text and "0 of 13 trainings done, 13 to do" in text


def test_an_interrupted_extension_continues(without_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(training: object) -> None:
        if (training.row.key, training.world) == ("cccc", 2011):  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        toy_training(training, LATER)

    monkeypatch.setattr(jobs, "complete_training", stops)
    with pytest.raises(KeyboardInterrupt):
        run_toy(without_runs, size=MORE, extend=True)
    found = trained(monkeypatch)
    run_toy(without_runs, size=MORE, extend=True)
    assert ("bb", 11, 3) not in found and ("cccc", 2011, 3) in found
    assert read_row(without_runs / "results" / "toy" / "cccc").seeds == [1, 2, 3]


@pytest.mark.parametrize(
    ("size", "opts", "message"),
    [
        (Size(1, 3), OPTS, r"bb holds world 11, seed 2, which --worlds and --seeds leave out: it has 3 worlds and 2"),
        (Size(2, 2), OPTS, r"a holds world 2011, seed 0, which --worlds and --seeds leave out: it has 3 worlds and 1"),
        (MORE, [*OPTS, "train.max_epoch", "7"], r"another configuration \(train.max_epoch: \d+, now 7\)"),
        (MORE, [*OPTS, "data.synthetic.ids", "50"], r"another configuration \(data.synthetic.ids: 250, now 50\)"),
    ],
)
def test_other_results_are_refused_before_training(
    without_runs: Path, monkeypatch: pytest.MonkeyPatch, size: Size, opts: list[str], message: str
) -> None:
    monkeypatch.setattr(jobs, "complete_training", None)
    with pytest.raises(ValueError, match=message):
        run_toy(without_runs, size=size, opts=opts, extend=True)


def test_a_key_that_the_record_does_not_know_stands_at_its_default(without_runs: Path) -> None:
    config = without_runs / "results" / "toy" / "bb" / "config.yaml"
    lines = config.read_text().splitlines()
    older = [line for line in lines if not line.strip().startswith("amplitude_swap:")]
    assert len(older) == len(lines) - 1
    config.write_text("\n".join(older) + "\n")
    with pytest.raises(ValueError, match=r"bb holds .*data.augment.amplitude_swap: 0.0, now 0.5"):
        run_toy(without_runs, size=Size(2, 3, rows=("bb",)), opts=[*OPTS, "data.augment.amplitude_swap", "0.5"],
                extend=True)  # fmt: skip
    run_toy(without_runs, size=MORE, extend=True)


def test_extending_and_overwriting_exclude_each_other(without_runs: Path) -> None:
    with pytest.raises(ValueError, match="leave one of them out"):
        run_toy(without_runs, extend=True, overwrite=True)


def test_a_damaged_record_is_not_extended(without_runs: Path) -> None:
    (without_runs / "results" / "toy" / ROWS[1].key / "row.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(ValueError, match="is missing; write the row again"):
        run_toy(without_runs, size=MORE, extend=True)
    assert not (without_runs / "out").exists()


def test_a_table_that_is_extended_in_part_says_what_differs(without_runs: Path) -> None:
    run_toy(without_runs, size=Size(2, 3), extend=True)
    with pytest.raises(ValueError, match=r"seeds: \[1, 2\] and \[1, 2, 3\]"):
        run_toy(without_runs, size=Size(3, 3, rows=("cccc",)), extend=True)
    with pytest.raises(ValueError, match="cannot be compared"):
        ResultTable.read(without_runs / "results" / "toy")


# Rows that another table has

OTHER = Table("other", "Another toy", (replace(ROWS[1], name="The same"), replace(ROWS[2], against="")), reference="bb")


def test_a_row_of_another_table_is_taken_over(without_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(monkeypatch)
    run_toy(without_runs, OTHER, extend=True)
    assert found == []
    before, after = (read_row(without_runs / "results" / table / "bb") for table in ("toy", "other"))
    assert (after.table, after.name, after.against) == ("other", "The same", "")
    same = replace(after, table=before.table, name=before.name, queries={})
    assert same == replace(before, queries={})
    assert read_row(without_runs / "results" / "other" / "cccc").against == ""
    assert read_row(without_runs / "results" / "toy" / "cccc").against == "bb", "that one stays as it is"


def test_and_extended(without_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(monkeypatch)
    run_toy(without_runs, OTHER, MORE, extend=True)
    assert len(found) == 2 * (4 * 3 - 3 * 2)
    assert read_row(without_runs / "results" / "other" / "bb").commits == [COMMIT, LATER]


def test_only_if_it_is_the_same(without_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(monkeypatch)
    opts = [*OPTS, "train.max_epoch", "7"]
    run_toy(without_runs, replace(OTHER, rows=OTHER.rows[:1]), Size(2, 3), opts, extend=True)
    assert len(found) == 2 * 3, "all trained"


@pytest.mark.parametrize("key", ["bb", "cccc"])
def test_only_the_runs_that_are_asked_for(
    without_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    found = trained(monkeypatch)
    few = Size(seeds=1, worlds=4)
    run_toy(without_runs, OTHER, few, extend=True)
    assert sorted(found) == [("bb", 3011, 1), ("cccc", 3011, 1)], "three worlds are there"
    row = read_row(without_runs / "results" / "other" / key)
    use_toy_trainings(monkeypatch, LATER)
    run_toy(tmp_path / "whole", OTHER, few)
    at_once = read_row(tmp_path / "whole" / "results" / "other" / key)
    assert replace(row, commits=[], queries={}) == replace(at_once, commits=[], queries={})
    for name, column in at_once.queries.items():
        np.testing.assert_array_equal(row.queries[name], column)


def test_an_untrained_row_is_cut_to_its_worlds(without_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(monkeypatch)
    run_toy(without_runs, replace(OTHER, rows=(ROWS[0],), reference=""), Size(seeds=1, worlds=2), extend=True)
    row = read_row(without_runs / "results" / "other" / "a")
    assert (row.worlds, row.seeds, found) == ([11, 1011], [], [])


def test_a_test_under_missing_modalities_is_another(without_runs: Path) -> None:
    plans = [
        plan_of(replace(OTHER, missing=missing), places(without_runs), Size(2, 3), OPTS, extend=True)
        for missing in (False, True)
    ]
    assert ["The same: 6 in the results, kept" in plan for plan in plans] == [True, False]


def test_a_kept_row_has_the_name_that_its_table_has_today(without_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(monkeypatch)
    renamed = replace(TOY, rows=(*ROWS[:2], replace(ROWS[2], name="Row D", against="a")))
    run_toy(without_runs, renamed, extend=True)
    row = read_row(without_runs / "results" / "toy" / "cccc")
    assert (row.name, row.against, found) == ("Row D", "a", [])


def test_without_extend_nothing_is_taken_over(without_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(monkeypatch)
    run_toy(without_runs, OTHER)
    assert len(found) == 2 * 6
