"""From toy trainings to the files of a table and back, and which files are refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_trainings
import yaml
from toy_tables import COMMIT, OPTS, ROWS, TOY, run_toy, use_toy_trainings
from toy_trainings import QUERIES, TESTS, outcomes

from promptreid.config import load_config
from promptreid.runs.tables import jobs
from promptreid.runs.tables.places import Size
from promptreid.runs.tables.record import digest_of, read_row
from promptreid.runs.tables.render import ResultTable
from promptreid.runs.tables.table import Row

WORLDS, SEEDS = [11, 1011, 2011], [1, 2]


def test_a_row_says_what_it_rests_on(toy_made: Path) -> None:
    folder = toy_made / "results" / "toy" / "cccc"
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "queries.npz", "row.json"]
    row = json.loads((folder / "row.json").read_text())
    assert (row["worlds"], row["seeds"], row["commits"], row["against"]) == (WORLDS, SEEDS, [COMMIT], "bb")
    assert row["overrides"] == {"train.weight_decay": 0.2}
    assert [(run["world"], run["seed"], run["protocol"]) for run in row["runs"]] == [
        (world, seed, test) for world in WORLDS for seed in SEEDS for test in TESTS
    ]
    last = row["runs"][-1]
    aps = outcomes("cccc", 2011, 2, TESTS[1]).astype(np.float32)
    assert last["mAP"] == pytest.approx(aps.mean(), abs=1e-6) and last["queries"] == QUERIES
    columns = {"AP": aps, "trial": np.zeros(QUERIES, int), "query": np.arange(QUERIES)}
    assert last["digest"] == digest_of(columns) == digest_of({name: found[::-1] for name, found in columns.items()})
    assert row["queries_sha256"] == hashlib.sha256((folder / "queries.npz").read_bytes()).hexdigest()
    assert row["costs"] == {"trained_parameters": 2000, "kept_bytes": 2e6, "step_seconds": 0.005}


def test_its_configuration_is_whole_and_names_no_folder_of_this_machine(toy_made: Path) -> None:
    text = (toy_made / "results" / "toy" / "bb" / "config.yaml").read_text()
    assert str(toy_made) not in text
    settings = yaml.safe_load(text)
    assert (settings["train"]["weight_decay"], settings["data"]["synthetic"]["seed"]) == (0.1, 11)
    cfg = load_config(toy_made / "results" / "toy" / "bb" / "config.yaml")
    assert cfg.train.weight_decay == 0.1


def test_the_outcomes_of_queries_are_compact_arrays(toy_made: Path) -> None:
    with np.load(toy_made / "results" / "toy" / "bb" / "queries.npz", allow_pickle=False) as arrays:
        kinds = {name: arrays[name].dtype.name for name in arrays}
        assert kinds == {
            "AP": "float32", "world": "int32", "seed": "int32", "test": "int16", "trial": "int16", "query": "int32",
        }  # fmt: skip
        assert {len(arrays[name]) for name in arrays} == {6 * len(TESTS) * QUERIES}
        own = (arrays["world"] == 1011) & (arrays["seed"] == 2) & (arrays["test"] == 1)
        np.testing.assert_allclose(arrays["AP"][own], outcomes("bb", 1011, 2, TESTS[1]), rtol=1e-6)


def test_an_untrained_row_has_a_run_in_each_world(toy_made: Path) -> None:
    row = read_row(toy_made / "results" / "toy" / "a")
    assert (row.seeds, len(row.runs), row.trained) == ([], 3 * len(TESTS), False)


def test_options_that_change_no_number_are_not_told(toy: Path) -> None:
    run_toy(toy, opts=[*OPTS, "data.root", "elsewhere", "test.flip", "False"])
    about = json.loads((toy / "results" / "toy" / "table.json").read_text())
    assert about["opts"] == ["test.flip", "False"]
    assert about["rows"] == [row.key for row in ROWS] and about["note"] == "A note."


def times(folder: Path) -> dict[Path, int]:
    return {
        path: path.stat().st_mtime_ns
        for path in (folder / "results").rglob("*")
        if path.is_file() and path.name != "table.json"
    }


def test_a_second_call_leaves_the_rows_as_they_are(toy: Path) -> None:
    before = times(toy)
    run_toy(toy)
    assert times(toy) == before


def test_more_seeds_are_added_to_the_same_rows(toy: Path) -> None:
    run_toy(toy, size=Size(3, 3))
    assert read_row(toy / "results" / "toy" / "bb").seeds == [1, 2, 3]


def test_some_rows_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_toy_trainings(monkeypatch)
    table = run_toy(tmp_path, size=Size(1, 1, rows=("cccc", "a")))
    assert [row.key for row in table.published.rows] == ["a", "cccc"]
    assert [line.effect for line in table.lines] == [None] * 4  # neither reference is there
    with pytest.raises(ValueError, match="--rows ccc: no row of toy; did you mean 'cccc'"):
        run_toy(tmp_path, size=Size(rows=("ccc",)))
    assert [row.key for row in run_toy(tmp_path, size=Size(1, 1)).published.rows] == ["a", "bb", "cccc"]


def test_a_row_is_written_as_soon_as_its_runs_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_toy_trainings(monkeypatch)
    train = jobs.complete_training

    def stops(training: Any) -> None:
        if training.row.key == "cccc" and (training.world, training.seed) == (2011, 2):
            raise KeyboardInterrupt
        train(training)

    monkeypatch.setattr(jobs, "complete_training", stops)
    with pytest.raises(KeyboardInterrupt):
        run_toy(tmp_path)
    there = sorted(path.parent.name for path in (tmp_path / "results").rglob("row.json"))
    assert there == ["a", "bb"]
    monkeypatch.setattr(jobs, "complete_training", train)
    run_toy(tmp_path)
    assert (tmp_path / "results" / "toy" / "cccc" / "row.json").exists()


def test_a_folder_more_is_a_row_more(toy: Path) -> None:
    added = Row("dd", "Row D", ROWS[1].config, {"train.weight_decay": 0.3})
    run_toy(toy / "other", table=replace(TOY, rows=(added,), reference=""))
    (toy / "other" / "results" / "toy" / "dd").rename(toy / "results" / "toy" / "dd")
    table = ResultTable.read(toy / "results" / "toy")
    assert [row.key for row in table.published.rows] == ["a", "bb", "cccc", "dd"]
    assert table.lines[-1].against is table.published.rows[1] and table.lines[-1].effect is not None


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def refused(folder: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        ResultTable.read(folder / "results" / "toy")
    assert str(folder / "results" / "toy") in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.pop("worlds"), r"row\.json: field 'worlds' is missing; write the row again"),
        (lambda row: row.update(worlds="11"), r"worlds is '11', expected list\[int\]"),
        (lambda row: row.update(trained=1), r"trained is 1, expected bool"),
        (lambda row: row.update(format=2), r"format 2, read is 1"),
        (lambda row: row.update(key="c"), r"key 'c' in the folder 'cccc'"),
        (lambda row: row.update(runs=[]), r"runs is empty"),
        (lambda row: row["runs"][3].pop("mAP"), r"runs\[3\] has no field 'mAP'"),
        (lambda row: row["runs"][3].update(mAP="x"), r"runs\[3\]\.mAP is 'x', expected float"),
        (
            lambda row: row["runs"][0].update(queries=7),
            rf"world 11, seed 1, toy all: 7 outcomes of queries, and {QUERIES}",
        ),
        (lambda row: row.update(seeds=[1, 2, 3]), r"world 11, seed 3 is only in one of worlds, seeds and runs"),
        (lambda row: row.update(name="Row B"), r"rows 'bb' and 'cccc' are both called 'Row B'"),
        (lambda row: row.update(against="b"), r"against is 'b', which is no row of this table; there are a, bb, cccc"),
        (lambda row: row.update(renderer=99), r"rows 'a' and 'cccc' cannot be compared \(renderer: 2 and 99\)"),
    ],
)
def test_a_record_that_cannot_be_used(toy: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    edit(toy / "results" / "toy" / "cccc" / "row.json", change)
    refused(toy, message)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("cccc/row.json", b"{", r"row\.json: no JSON"),
        ("cccc/row.json", b"[1]", r"expected an object with fields, got list"),
        ("cccc/queries.npz", b"PK", r"queries\.npz: its SHA-256 is .*was changed, or is of another row"),
        ("cccc/queries.npz", None, r"queries\.npz: no such file"),
        ("cccc/config.yaml", None, r"config\.yaml: no such file"),
        ("cccc/config.yaml", b"a: [", r"config\.yaml: not valid YAML"),
        ("cccc/config.yaml", b"1", r"config\.yaml: expected keys with values"),
        ("table.json", None, r"table\.json: no such file"),
        ("table.json", b'{"format": 1}', r"table\.json: title is None, expected str"),
    ],
)
def test_a_file_that_cannot_be_used(toy: Path, file: str, content: bytes | None, message: str) -> None:
    path = toy / "results" / "toy" / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    refused(toy, message)


def test_a_table_without_rows(toy: Path) -> None:
    for path in (toy / "results" / "toy").glob("*/row.json"):
        path.unlink()
    refused(toy, "no row in there; train some with promptreid table toy")


def test_rows_of_other_worlds_are_refused_with_all_that_differs(toy: Path) -> None:
    run_toy(toy / "other", table=replace(TOY, rows=(replace(ROWS[2], against=""),), reference=""), size=Size(1, 2),
            opts=["data.synthetic.ids", "50", "data.synthetic.seed", "12"])  # fmt: skip
    shutil.rmtree(toy / "results" / "toy" / "cccc")
    shutil.copytree(toy / "other" / "results" / "toy" / "cccc", toy / "results" / "toy" / "cccc")
    differences = (
        r"worlds: \[11, 1011, 2011\] and \[12, 1012\]; seeds: \[1, 2\] and \[1\]; data.synthetic.ids: 250 and 50; "
    )
    refused(toy, differences + r"data.synthetic.seed: 11 and 12\); train both in the same worlds")


def test_other_queries_in_a_world_are_refused(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(toy, "cccc")
    monkeypatch.setattr(toy_trainings, "QUERIES", QUERIES - 1)
    with pytest.raises(ValueError, match=r"rows 'Row A' and 'Row C' have ranked other queries in world 11 \(toy all\)"):
        run_toy(toy)


def without(toy: Path, key: str) -> None:
    shutil.rmtree(toy / "results" / "toy" / key)
    shutil.rmtree(toy / "out" / "runs" / "synth_rgbnt" / key)


def test_results_of_another_commit_are_not_written_over(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(toy / "out")
    use_toy_trainings(monkeypatch, "b" * 40)
    monkeypatch.setattr(jobs, "complete_training", None)  # refused before anything is trained
    with pytest.raises(ValueError, match=r"holds results of commit aaaa.* these are of bbbb.* with --overwrite"):
        run_toy(toy)
    use_toy_trainings(monkeypatch, "b" * 40)
    run_toy(toy, overwrite=True)
    assert read_row(toy / "results" / "toy" / "bb").commits == ["b" * 40]
    aside = toy / "out" / "earlier-results" / "toy" / "bb.1" / "row.json"
    assert json.loads(aside.read_text())["commits"] == [COMMIT]


def test_rows_of_several_commits_are_read_and_told(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(toy, "cccc")
    use_toy_trainings(monkeypatch, "b" * 40)
    assert f"Rows are of 2 commits ({'a' * 12}, {'b' * 12})." in run_toy(toy).markdown()


def test_changed_files_are_told_beside_the_commit(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(toy, "cccc")
    use_toy_trainings(monkeypatch, f"{COMMIT}-dirty")
    assert f"Rows are of 2 commits ({'a' * 12}, {'a' * 12}-dirty)." in run_toy(toy).markdown()


def test_trainings_at_another_commit_join_those_that_are_there(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_toy_trainings(monkeypatch, "b" * 40)
    run_toy(toy, size=Size(3, 3))
    assert read_row(toy / "results" / "toy" / "bb").commits == [COMMIT, "b" * 40]
