"""Several trainings at a time, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy_tables import COMMIT, CONFIGS, places, run_toy, use_toy_trainings

from promptreid.runs.tables import jobs
from promptreid.runs.tables.places import Size
from promptreid.runs.tables.record import read_row
from promptreid.runs.tables.rows import Training, row_config, trainings_of

HELPERS = Path(__file__).parents[2] / "helpers"


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are toys, too."""
    use_toy_trainings(monkeypatch)
    monkeypatch.setattr(jobs, "_WORKER", "toy_worker")
    monkeypatch.setattr(jobs, "complete_training", None)  # nothing runs in this process
    monkeypatch.setenv("PYTHONPATH", str(HELPERS))


@pytest.mark.usefixtures("workers")
def test_they_make_the_same_rows_as_one_by_one(toy_made: Path, tmp_path: Path) -> None:
    run_toy(tmp_path, size=Size(1, 1, jobs=3))
    for key in ("a", "bb", "cccc"):
        one, several = (read_row(folder / "results" / "toy" / key) for folder in (toy_made, tmp_path))
        assert several.runs == one.runs[:2] and several.commits == [COMMIT]


@pytest.mark.usefixtures("workers")
def test_one_that_fails_is_told_in_the_end_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_FAILS", "bb/world-1011/seed-1")
    log = tmp_path / "out" / "runs" / "synth_rgbnt" / "bb" / "world-1011" / "seed-1.log"
    with pytest.raises(ValueError, match="1 of 4 trainings have failed") as error:
        run_toy(tmp_path, size=Size(1, 2, jobs=2, rows=("bb", "cccc")))
    assert f"Row B, world 1011, seed 1: something about the data ({log})" in str(error.value)
    assert log.read_text().splitlines() == [f"threads {max(1, (os.cpu_count() or 1) // 2)}", "something about the data"]
    assert [path.parent.name for path in (tmp_path / "results").rglob("row.json")] == ["cccc"]
    monkeypatch.delenv("TOY_FAILS")
    run_toy(tmp_path, size=Size(1, 2, jobs=2, rows=("bb", "cccc")))
    assert (tmp_path / "results" / "toy" / "bb" / "row.json").exists() and not log.exists()


def test_one_by_one_a_failure_has_a_log_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_toy_trainings(monkeypatch)
    train = jobs.complete_training

    def fails(training: Training) -> None:
        if training.row.key == "bb":
            raise ValueError("no weights")
        train(training)

    monkeypatch.setattr(jobs, "complete_training", fails)
    with pytest.raises(
        ValueError, match=r"2 of 3 .*\nRow B, world 11, seed 1: no weights \(.*seed-1\.log\)\nRow B"
    ) as error:
        run_toy(tmp_path, size=Size(2, 1, rows=("a", "bb")))
    log = tmp_path / "out" / "runs" / "synth_rgbnt" / "bb" / "world-11" / "seed-1.log"
    assert "Traceback" in log.read_text() and str(log) in str(error.value)


def test_the_order_is_world_by_world_and_seed_by_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_toy_trainings(monkeypatch)
    train, order = jobs.complete_training, []

    def note(training: Training) -> None:
        order.append((training.world, training.seed, training.row.key))
        train(training)

    monkeypatch.setattr(jobs, "complete_training", note)
    run_toy(tmp_path, size=Size(2, 2))
    assert order == [
        (11, 0, "a"), (11, 1, "bb"), (11, 1, "cccc"), (11, 2, "bb"), (11, 2, "cccc"),
        (1011, 0, "a"), (1011, 1, "bb"), (1011, 1, "cccc"), (1011, 2, "bb"), (1011, 2, "cccc"),
    ]  # fmt: skip


@pytest.mark.slow
def test_the_end_of_the_programme_is_told_to_its_trainings(tmp_path: Path) -> None:
    code = f"""
import sys
import promptreid
from pathlib import Path
from promptreid.runs.tables import jobs
from promptreid.runs.tables.rows import row_config, trainings_of
from toy_tables import CONFIGS, ROWS
jobs._WORKER = "toy_worker"
out = Path({str(tmp_path)!r})
trainings = trainings_of(ROWS[1], row_config(ROWS[1], CONFIGS, out), [11], 3)
jobs.carry_out(trainings, 2, lambda *_: None)
"""
    paths = os.pathsep.join([str(HELPERS), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths, "TOY_WAITS": "1"}, cwd=tmp_path
    )
    world = tmp_path / "runs" / "synth_rgbnt" / "bb" / "world-11"
    until = time.monotonic() + 60
    while len(list(world.glob("*.waits"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert sorted(path.name for path in world.glob("*.told")) == ["seed-1.told", "seed-2.told"]
    assert not list(world.glob("seed-3*"))


@pytest.mark.slow
def test_a_real_training_in_a_process_is_the_one_of_this_process(small_root: Path, tmp_path: Path) -> None:
    opts = {
        "data.root": small_root, "data.synthetic.like": "", "data.height": 32, "data.width": 16, "data.workers": 0,
        "backbone.name": "", "backbone.vit.depth": 2, "backbone.vit.embed_dim": 16, "backbone.vit.num_heads": 2,
        "backbone.stride": 4, "model.pretrained": False, "train.max_epoch": 1, "train.warmup_epochs": 0,
        "train.deterministic": True, "test.protocols": "['sysu-python indoor 1-shot']",
    }  # fmt: skip
    from promptreid.runs.tables.definitions import MIP_PAPER

    words = [str(word) for pair in opts.items() for word in pair]
    ended: list[jobs.Failure | None] = []
    found = []
    for number, at_a_time in ((1, 1), (2, 2)):
        cfg = row_config(MIP_PAPER, CONFIGS, places(tmp_path / str(number)).out, words)
        (training,) = trainings_of(MIP_PAPER, cfg, [0], 1)
        jobs.carry_out([training], at_a_time, lambda training, seconds, failure: ended.append(failure))
        assert ended == [None] * number and training.is_done()
        results = json.loads((training.folder / "results-sysu_mm01.json").read_text())
        found.append({**results, "time": ""})
        made = json.loads((training.folder / "made_with.json").read_text())
        assert made["environment"]["torch"] and made["environment"]["processor"]
    assert found[0] == found[1]
