"""Checkpoints: atomic, rotated, and never executed."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from promptreid.engine import checkpoint


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
