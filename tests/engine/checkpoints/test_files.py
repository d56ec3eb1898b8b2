"""Checkpoints: atomic, rotated, and never executed."""

from __future__ import annotations

import itertools
import logging
import os
from pathlib import Path

import pytest
import torch
from faults import Faults

from promptreid import files
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.models.weights import read_state_dict


def state(epoch: int) -> dict[str, object]:
    return {"state_dict": {"w": torch.full((3,), float(epoch))}, "epoch": epoch}


def test_keeps_the_newest_two(tmp_path: Path) -> None:
    for epoch in (1, 2, 9, 10):
        checkpoint.save(state(epoch), tmp_path)
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["model.pth.tar-10", "model.pth.tar-9"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pth.tar-10", "model.pth.tar-9"]


def test_a_failure_while_writing_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    class Fails:
        def __reduce__(self) -> tuple[object, ...]:
            raise RuntimeError("disk full")

    path = checkpoint.save(state(1), tmp_path)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="disk full"):
        checkpoint.save({**state(1), "extra": Fails()}, tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_broken_newest_file_is_passed_over_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint.save(state(1), tmp_path)
    newest = checkpoint.save(state(2), tmp_path)
    newest.write_bytes(newest.read_bytes()[:200])
    with caplog.at_level(logging.ERROR):
        path, loaded = checkpoint.load_newest(tmp_path)
    assert (path.name, loaded["epoch"]) == ("model.pth.tar-1", 1)
    assert "BROKEN CHECKPOINT" in caplog.text
    assert "model.pth.tar-2" in caplog.text


def test_code_is_neither_run_nor_loaded(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"state_dict": {}, "epoch": 1, "x": Payload()}, tmp_path / "model.pth.tar-1")
    with pytest.raises(ValueError, match=r"model\.pth\.tar-1"):
        checkpoint.load(tmp_path / "model.pth.tar-1")
    assert not (tmp_path / "ran").exists()


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        checkpoint.load(tmp_path / "none")
    torch.save([1, 2], tmp_path / "list")
    with pytest.raises(ValueError, match="state_dict"):
        checkpoint.load(tmp_path / "list")
    with pytest.raises(FileNotFoundError, match="no readable checkpoint"):
        checkpoint.load_newest(tmp_path)


def test_names_within_an_epoch_are_in_order(tmp_path: Path) -> None:
    for epoch, step in ((0, 9), (0, 10), (1, 0), (1, 2)):
        checkpoint.save({**state(epoch), "step": step}, tmp_path, keep=4)
    names = [path.name for path in checkpoint.checkpoints(tmp_path)]
    assert names == [f"model.pth.tar-{end}" for end in ("1-2", "1", "0-10", "0-9")]


def test_weights_carry_what_is_known_of_them(tmp_path: Path) -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    checkpoint.save_weights({"a": whole, "view": whole.T, "row": whole[1]}, tmp_path / "w.safetensors", {"epoch": "3"})
    read = read_state_dict(tmp_path / "w.safetensors")
    assert torch.equal(read["view"], whole.T) and torch.equal(read["row"], whole[1])
    assert checkpoint.about_weights(tmp_path / "w.safetensors") == {"epoch": "3"}


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0[]", b"\x02\0\0\0\0\0\0\0{}"])
def test_a_broken_header_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    assert checkpoint.about_weights(tmp_path / "w.safetensors") == {}
    assert checkpoint.about_weights(tmp_path / "none.pth") == {}


def disk_full() -> None:
    raise OSError(28, "No space left on device")


def folder_with_two(folder: Path) -> Path:
    for epoch in (1, 2):
        checkpoint.save(state(epoch), folder)
    return folder


def assert_loads_old_or_new(folder: Path) -> int:
    _, loaded = checkpoint.load_newest(folder)
    assert loaded["epoch"] in (2, 3)
    assert torch.equal(loaded["state_dict"]["w"], torch.full((3,), float(loaded["epoch"])))
    return int(loaded["epoch"])


def test_whatever_call_of_a_write_fails_the_last_good_checkpoint_loads(tmp_path: Path) -> None:
    epochs, errors = [], 0
    for at in itertools.count(1):
        folder = folder_with_two(tmp_path / str(at))
        faults = Faults(at, disk_full)
        with pytest.MonkeyPatch.context() as patch:
            faults.install(patch)
            try:
                checkpoint.save(state(3), folder)
            except ValueError as error:
                errors += 1
                assert "No space left on device" in str(error) and "make room" in str(error)
        epochs.append(assert_loads_old_or_new(folder))
        assert len(checkpoint.checkpoints(folder)) >= 2
        if faults.count < at:
            break
    assert errors == len(epochs) - 1 > 10
    assert epochs == sorted(epochs) and set(epochs) == {2, 3}


def test_wherever_a_process_dies_in_a_write_the_last_good_checkpoint_loads(tmp_path: Path) -> None:
    """Like the test above, with a process that is gone at once and cleans nothing up."""
    died = 0
    for at in itertools.count(1):
        folder = folder_with_two(tmp_path / str(at))
        process = os.fork()
        if process == 0:
            Faults(at, lambda: os._exit(9)).install(pytest.MonkeyPatch())
            checkpoint.save(state(3), folder)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        assert_loads_old_or_new(folder)
        files.remove_leftovers(folder)
        assert all(checkpoint.PATTERN.fullmatch(path.name) for path in folder.iterdir())
        if code == 0:
            break
        assert code == 9
        died += 1
    assert died > 10
