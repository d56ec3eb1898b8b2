"""The command line that writes features."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from promptreid.evaluation.features_io import load_features

REPO = Path(__file__).parents[2]
TOOL = REPO / "tools" / "extract_features.py"
SMALL = ["data.height", "64", "data.width", "32", "data.workers", "0", "data.synthetic.like", "", "mip.stride", "8",
         "mip.vit.depth", "2", "mip.vit.embed_dim", "24", "mip.vit.num_heads", "2", "mip.prompt_length", "2",
         "train.max_epoch", "1", "train.warmup_epochs", "0", "train.batch_size", "16"]  # fmt: skip


def run(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str | Path) -> int:
    """The exit code of a tool, run in this process."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(REPO / "tools" / name), run_name="__main__")
    return int(caught.value.code or 0)


def test_from_a_trained_run_to_a_score(sysu_root: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    given = ["--config-file", REPO / "configs" / "mip" / "quickstart.yaml", "--root", sysu_root]
    opts = [*SMALL, "data.save_dir", tmp_path / "run"]
    assert run(monkeypatch, "train_net.py", *given, *opts) == 0
    printed_by_the_run = capsys.readouterr()
    out = tmp_path / "features.safetensors"
    assert run(monkeypatch, "extract_features.py", "--out", out, *given, *opts) == 0
    printed = capsys.readouterr().out
    assert f"features each, in {out}" in printed and "--metric euclidean" in printed
    assert load_features(out).modalities == (["infrared"], ["visible"])
    assert run(monkeypatch, "evaluate.py", out, "--protocol", "sysu-python all 1-shot") == 0
    line = capsys.readouterr().out.strip()
    assert line in printed_by_the_run.out + printed_by_the_run.err


def test_a_suffix_that_cannot_be_written_is_told_at_once(monkeypatch, capsys, tmp_path: Path) -> None:
    assert run(monkeypatch, "extract_features.py", "--out", tmp_path / "f.pkl", "--config-file", "none.yaml") == 2
    assert "files of features end in .npz, .safetensors, .parquet" in capsys.readouterr().err
