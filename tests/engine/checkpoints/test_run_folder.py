"""Folders that a run may not have, and files that it leaves alone."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from small_runs import small_config

from promptreid.engine.checkpoints import run_folder
from promptreid.engine.checkpoints.run_folder import RunFolder, expected_checkpoint_bytes
from promptreid.engine.train_engine import PromptEngine
from promptreid.files import atomic_write
from promptreid.runs.run import run

Usage = namedtuple("Usage", "total used free")
ONE = {"train.max_epoch": 1, "train.warmup_epochs": 0}


@pytest.fixture(scope="module")
def finished(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    run(small_config(small_root, folder, **ONE))
    return folder


def copy_of(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "run"))


def test_a_second_run_in_a_folder_is_refused(finished: Path, small_root: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(ValueError, match=r"holds a run already: continue it with --resume, .* --overwrite"):
        run(small_config(small_root, folder, **ONE))
    with pytest.raises(ValueError, match="holds a run already"):
        run(small_config(small_root, folder, **ONE), resume=str(finished / "model" / "model.pth.tar-1"))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_overwriting_moves_the_earlier_run_aside(finished: Path, small_root: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    for number in (1, 2):
        run(small_config(small_root, folder, **ONE), overwrite=True)
        assert (tmp_path / f"run.{number}" / "model" / "model.pth.tar-1").exists()
    assert (folder / "model" / "model.pth.tar-1").exists()
    with pytest.raises(ValueError, match="--overwrite trains anew: leave out --resume"):
        run(small_config(small_root, folder, **ONE), overwrite=True, resume=str(folder))


def test_a_training_that_died_in_its_first_step_is_moved_aside_and_nothing_is_lost(
    small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"

    def fails(*_: object) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(PromptEngine, "forward_backward", fails)
        with pytest.raises(RuntimeError, match="out of memory"):
            run(small_config(small_root, folder, **ONE))
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert {"config.yaml", "log.txt"} <= before.keys()
    run(small_config(small_root, folder, **ONE))
    assert (folder / "model" / "model.pth.tar-1").exists()
    assert {path.name: path.read_bytes() for path in (tmp_path / "run.1").iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "results-sysu_mm01.json", "model/model.safetensors", "notes.txt", "seed-1/log.txt"]
)
def test_a_folder_with_anything_that_matters_is_no_failed_start(name: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for empty in (folder.config, folder.log, folder.metrics.path, tmp_path / "events.out.tfevents.1.host"):
        empty.write_text("")
    folder.models.mkdir()
    assert folder.died_at_start()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("kept")
    assert not folder.died_at_start()


def test_a_configuration_alone_is_no_failed_start(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    assert not RunFolder(tmp_path).died_at_start()


def test_a_run_without_a_checkpoint_yet_starts_anew_in_its_folder(
    finished: Path, small_root: Path, tmp_path: Path
) -> None:
    folder = copy_of(finished, tmp_path)
    expected = (folder / "metrics.jsonl").read_text()
    shutil.rmtree(folder / "model")
    run(small_config(small_root, folder, **ONE), resume="auto")
    assert (folder / "metrics.jsonl").read_text() == expected


def test_testing_a_run_leaves_its_configuration_and_metrics(finished: Path, small_root: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    names = ("config.yaml", "metrics.jsonl", "model/model.pth.tar-1")
    before = [(folder / name).read_bytes() for name in names]
    run(small_config(small_root, folder, **ONE, **{"test.normalize_feature": False}), eval_only=True)
    assert [(folder / name).read_bytes() for name in names] == before


def test_a_full_disk_is_found_before_the_first_step(
    small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder.shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 100_000, 100_000))
    with pytest.raises(ValueError, match=r"100 kB are free, and the checkpoints need about \d+ kB; make room"):
        run(small_config(small_root, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_found_before_the_first_step(small_root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"data\.save_dir .*file/run cannot be written to \(Not a directory\)"):
        run(small_config(small_root, tmp_path / "file" / "run"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_so_is_one_without_permission(small_root: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o500)
    with pytest.raises(ValueError, match="cannot be written to"):
        run(small_config(small_root, tmp_path / "run"))


def test_leftovers_of_killed_writes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.models.mkdir(parents=True)
    if os.fork() == 0:
        unfinished = [atomic_write(path) for path in (folder.config, folder.models / "model.pth.tar-1")]
        for writing in unfinished:
            writing.__enter__()
        os._exit(9)
    os.wait()
    assert len(list(folder.path.rglob(".*.tmp"))) == 2
    for name in ("notes.tmp", ".hidden"):
        (folder.path / name).write_text("")
    folder.prepare(0)
    left = sorted(str(path.relative_to(folder.path)) for path in folder.path.rglob("*"))
    assert left == [".hidden", "model", "notes.tmp"]


def test_the_expected_size_is_not_below_a_real_checkpoint(finished: Path) -> None:
    model = torch.nn.Linear(200, 300)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(1, 200)).sum().backward()
    optimizer.step()
    tensors = [*model.parameters()] + [value for slots in optimizer.state.values() for value in slots.values()]
    real = sum(tensor.nbytes for tensor in tensors)
    assert real * 0.99 <= expected_checkpoint_bytes(model, 0) <= real * 1.1
    assert expected_checkpoint_bytes(model, 2) - expected_checkpoint_bytes(model, 0) == 2 * (200 + 1) * 300 * 4
