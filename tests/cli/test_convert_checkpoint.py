from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from released import draw_state, release_shapes

REPO = Path(__file__).parents[2]
SMALL = ["--stride", "8", "--image-size", "64", "32"]


def convert(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(REPO / "tools" / "convert_checkpoint.py"), *map(str, args)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    shapes = release_shapes(cameras=6, dim=64, blocks=4, patches=21, deep=4)
    torch.save(draw_state("tool", shapes), tmp_path / "best.pth")
    return tmp_path / "best.pth"


def test_it_writes_both_files_and_reports(checkpoint: Path) -> None:
    done = convert("mip-release", checkpoint, "out/mip.safetensors", *SMALL, cwd=checkpoint.parent)
    assert done.returncode == 0, done.stderr
    assert "sysu_mm01: 395 identities, 6 cameras, 4 blocks of 64 channels" in done.stdout
    assert "44: base.prompt_adapters.0.fc1.weight to base.prompt_adapters.10.fc2.bias: not run" in done.stdout
    assert "0 missing" in done.stdout
    assert "--config-file out/mip.yaml --eval-only model.load_weights out/mip.safetensors" in done.stdout
    assert sorted(path.name for path in (checkpoint.parent / "out").iterdir()) == ["mip.safetensors", "mip.yaml"]


def test_what_does_not_fit_is_one_line_and_exit_code_two(checkpoint: Path) -> None:
    state = torch.load(checkpoint, weights_only=True)
    del state["b2.1.weight"]
    state["base.prompt_proj.weight"] = torch.zeros(64, 63)
    torch.save(state, checkpoint)
    done = convert("mip-release", checkpoint, "mip", *SMALL, cwd=checkpoint.parent)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "b2.1.weight is missing" in done.stderr
    assert "base.prompt_proj.weight has shape (64, 63), the model needs (64, 64)" in done.stderr
    assert list(checkpoint.parent.iterdir()) == [checkpoint]
