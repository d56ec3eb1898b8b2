"""The command line that trains."""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from promptreid.engine.train_engine import PromptEngine

REPO = Path(__file__).parents[2]
SMALL = ["data.height", "64", "data.width", "32", "data.workers", "0", "data.synthetic.like", "", "mip.stride", "8",
         "mip.vit.depth", "2", "mip.vit.embed_dim", "24", "mip.vit.num_heads", "2", "mip.prompt_length", "2",
         "train.max_epoch", "1", "train.warmup_epochs", "0", "train.batch_size", "56"]  # fmt: skip


def run(patch: pytest.MonkeyPatch, root: Path, save_dir: Path, *arguments: str) -> int:
    """The exit code of the tool, run in this process."""
    given = ["--config-file", str(REPO / "configs" / "mip" / "quickstart.yaml"), "--root", str(root)]
    patch.setattr(sys, "argv", ["train_net.py", *given, *SMALL, "data.save_dir", str(save_dir), *arguments])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(REPO / "tools" / "train_net.py"), run_name="__main__")
    return int(caught.value.code or 0)


def test_a_run_is_refused_a_second_time_unless_overwritten(
    sysu_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run(monkeypatch, sysu_root, tmp_path / "run") == 0
    assert run(monkeypatch, sysu_root, tmp_path / "run") == 2
    assert "--resume" in capsys.readouterr().err
    assert run(monkeypatch, sysu_root, tmp_path / "run", "--overwrite") == 0
    assert (tmp_path / "run.1" / "results-sysu_mm01.json").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_gives_its_exit_code_and_resume_goes_on(
    number: int, code: int, sysu_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = PromptEngine.forward_backward

    def interrupted(self: PromptEngine, data: dict[str, Any]) -> dict[str, float]:
        os.kill(os.getpid(), number)
        return step(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(PromptEngine, "forward_backward", interrupted)
        assert run(patch, sysu_root, tmp_path / "run") == code
    assert (tmp_path / "run" / "model" / "model.pth.tar-0-1").exists()
    assert run(monkeypatch, sysu_root, tmp_path / "run", "--resume") == 0
    assert (tmp_path / "run" / "model" / "model.pth.tar-1").exists()


def test_seeds(sysu_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert run(monkeypatch, sysu_root, tmp_path / "run", "--seeds", "2") == 0
    assert "mean of 2 trainings" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "seeds.json").read_text())["seeds"] == [1, 2]
    assert run(monkeypatch, sysu_root, tmp_path / "run", "--seeds", "2", "--eval-only") == 2
    assert "--splits and --seeds train" in capsys.readouterr().err
