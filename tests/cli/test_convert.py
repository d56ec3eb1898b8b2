"""Checkpoints of others, converted from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from command_line import promptreid
from released import draw_state, release_shapes

SMALL = ["--stride", "8", "--image-size", "64", "32"]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    shapes = release_shapes(cameras=6, dim=64, blocks=4, patches=21, deep=4)
    torch.save(draw_state("tool", shapes), tmp_path / "best.pth")
    return tmp_path / "best.pth"


def test_it_writes_both_files_and_reports(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(checkpoint.parent)
    assert promptreid("convert", "mip-release", checkpoint, "out/mip.safetensors", *SMALL) == 0
    printed = capsys.readouterr().out
    assert "sysu_mm01: 395 identities, 6 cameras, 4 blocks of 64 channels" in printed
    assert "44: base.prompt_adapters.0.fc1.weight to base.prompt_adapters.10.fc2.bias: not run" in printed
    assert "0 missing" in printed
    assert "--config-file out/mip.yaml --eval-only model.load_weights out/mip.safetensors" in printed
    assert sorted(path.name for path in (checkpoint.parent / "out").iterdir()) == ["mip.safetensors", "mip.yaml"]


def test_what_does_not_fit_is_one_line_and_exit_code_two(checkpoint: Path, monkeypatch, capsys) -> None:
    state = torch.load(checkpoint, weights_only=True)
    del state["b2.1.weight"]
    state["base.prompt_proj.weight"] = torch.zeros(64, 63)
    torch.save(state, checkpoint)
    monkeypatch.chdir(checkpoint.parent)
    assert promptreid("convert", "mip-release", checkpoint, "mip", *SMALL) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "b2.1.weight is missing" in error
    assert "base.prompt_proj.weight has shape (64, 63), the model needs (64, 64)" in error
    assert list(checkpoint.parent.iterdir()) == [checkpoint]
