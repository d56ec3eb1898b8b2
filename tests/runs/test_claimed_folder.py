"""A folder in which a training runs is its own: others are refused, a test beside it reads alone."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from small_runs import assert_same_run, newest, results, small_config

from promptreid import files
from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.engine.train_engine import PromptEngine
from promptreid.runs.run import run
from promptreid.runs.splits_and_seeds import run_several

ONE = {"train.max_epoch": 1, "train.warmup_epochs": 0}


class Training(NamedTuple):
    """Another process in the middle of its second epoch."""

    folder: Path
    process: int
    root: Path


def start(root: Path, folder: Path) -> Training:
    """Fork a training that stops, alive, after its first epoch's checkpoint, for good."""
    process = os.fork()
    if process == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        step = PromptEngine.forward_backward

        def stops(self: PromptEngine, data: dict[str, Any]) -> dict[str, float]:
            if self.position.epoch == 1:
                (folder.parent / "stopped").touch()
                time.sleep(600)
            return step(self, data)

        PromptEngine.forward_backward = stops  # type: ignore[method-assign]
        try:
            run(small_config(root, folder))
        finally:
            os._exit(1)
    deadline = time.monotonic() + 120
    while not (folder.parent / "stopped").exists() and time.monotonic() < deadline:
        assert os.waitpid(process, os.WNOHANG) == (0, 0), "the training has ended"
        time.sleep(0.02)
    return Training(folder, process, root)


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


@pytest.fixture(scope="module")
def training(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Training]:
    living = start(small_root, tmp_path_factory.mktemp("several") / "seed-1")
    yield living
    kill(living.process)


def state_of(folder: Path) -> dict[str, bytes]:
    """Every file and what is in it, but results of guests."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.endswith(".eval.json")}


WAYS: dict[str, dict[str, Any]] = {
    "a second training": {},
    "--resume": {"resume": "auto"},
    "--overwrite": {"overwrite": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_second_training_is_refused_with_the_folder_and_the_process(way: str, training: Training) -> None:
    before = state_of(training.folder)
    expected = rf"data\.save_dir {training.folder} is in use by process {training.process} on .*: wait until"
    with pytest.raises(ValueError, match=expected):
        run(small_config(training.root, training.folder), **WAYS[way])
    assert state_of(training.folder) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_so_is_a_row_of_trainings_of_which_one_is_going_on(overwrite: bool, training: Training) -> None:
    cfg = small_config(training.root, training.folder.parent, **{"train.seed": 1})
    before = state_of(training.folder.parent)
    with pytest.raises(ValueError, match=rf"seed-1 is in use by process {training.process} on "):
        run_several(cfg, seeds=2, overwrite=overwrite)
    with pytest.raises(ValueError, match=rf"seed-1 is in use by process {training.process} on "):
        run(cfg, overwrite=True)
    assert state_of(training.folder.parent) == before


def test_a_test_beside_a_training_reads_alone(training: Training) -> None:
    leftover = training.folder / f".config.yaml.{2**22 + 1}-{files._HOST}.tmp"  # of no living process
    leftover.write_text("")
    before = state_of(training.folder)
    tested = run(small_config(training.root, training.folder), eval_only=True)
    assert state_of(training.folder) == before
    assert leftover.exists()
    record = json.loads((training.folder / "results-sysu_mm01.eval.json").read_text())
    assert record["results"] == [result.as_dict() for result in tested["sysu_mm01"]]
    assert (record["epoch"], record["final"]) == (1, False)
    assert RunFolder(training.folder).results_files() == []


def test_a_killed_training_leaves_its_folder_to_the_next(small_root: Path, tmp_path: Path) -> None:
    living = start(small_root, tmp_path / "run")
    cfg = small_config(small_root, living.folder)
    run(cfg, eval_only=True)
    (living.folder / "results-sysu_mm01.eval.json").rename(tmp_path / "beside.json")
    kill(living.process)
    run(cfg, resume="auto")
    run(small_config(small_root, tmp_path / "whole"))
    assert_same_run(tmp_path / "whole", living.folder)
    assert not (living.folder / files.LOCK).exists()
    assert newest(living.folder)["epoch"] == 2
    trained = results(living.folder)
    run(cfg, eval_only=True)
    assert results(living.folder)["results-sysu_mm01.json"]["results"] == trained["results-sysu_mm01.json"]["results"]
    assert not list(living.folder.glob("*.eval.json"))
    assert json.loads((tmp_path / "beside.json").read_text())["epoch"] == 1


def test_a_folder_that_is_no_run_is_not_moved_aside(small_root: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    for name in ("chapter.tex", "config.yaml"):
        (tmp_path / "thesis" / name).write_text("mine")
        cfg = small_config(small_root, tmp_path / "thesis", **ONE)
        message = r"--overwrite: data\.save_dir .*thesis holds files, but no run; choose another data\.save_dir"
        with pytest.raises(ValueError, match=message):
            run(cfg, overwrite=True)
        with pytest.raises(ValueError, match=message):
            run_several(cfg, seeds=1, overwrite=True)
    assert state_of(tmp_path) == {"thesis/chapter.tex": b"mine", "thesis/config.yaml": b"mine"}
    # A folder of runs is not a run: log/ with log/mip in it is not overwritten for log/dmpt's sake.
    run(small_config(small_root, tmp_path / "log" / "mip", **ONE))
    with pytest.raises(ValueError, match="log holds files, but no run"):
        run(small_config(small_root, tmp_path / "log", **ONE), overwrite=True)


def test_what_a_start_has_left_and_empty_folders_are_overwritten(small_root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "died").mkdir()
    (tmp_path / "died" / "log.txt").write_text("")
    (tmp_path / "died" / files.LOCK).write_text("")
    for name in ("empty", "died"):
        run(small_config(small_root, tmp_path / name, **ONE), overwrite=True)
        assert (tmp_path / name / "results-sysu_mm01.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["died", "died.1", "empty"]


def test_a_run_that_fails_before_its_start_leaves_no_folder(small_root: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing to test"):
        run(small_config(small_root, tmp_path / "a" / "run"), eval_only=True)
    assert list(tmp_path.iterdir()) == []
