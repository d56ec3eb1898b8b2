"""The command line that measures prompts before and after training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import REPO, promptreid

from promptreid.config import load_config
from promptreid.runs.run import run

SMALL = {
    "data.synthetic.like": "", "data.workers": 0, "data.height": 32, "data.width": 16, "backbone.vit.depth": 2,
    "backbone.vit.embed_dim": 16, "backbone.vit.num_heads": 2, "mip.prompt_length": 2, "backbone.stride": 4,
    "train.max_epoch": 1,
    "train.warmup_epochs": 0, "train.batch_size": 32, "test.protocols": ["sysu-python indoor 1-shot"],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(sysu_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has ended."""
    path = tmp_path_factory.mktemp("run")
    given = {**SMALL, "data.root": str(sysu_root), "data.save_dir": str(path)}
    run(load_config(REPO / "configs" / "mip" / "quickstart.yaml", overrides=given))
    return path


def test_a_run_by_its_own_configuration(folder: Path, tmp_path: Path, capsys) -> None:
    arguments = [folder, "--json", str(tmp_path / "prompts.json")]
    assert promptreid("diagnose", *arguments) == 0
    lines = capsys.readouterr().out.splitlines()[-7:]  # torchreid prints before
    assert lines[0].split() == ["before", "after"]
    assert [line.split()[0] for line in lines[1:]] == ["cosine", "distance", "spread", "variance", "nearest", "nearest"]
    record = json.loads((tmp_path / "prompts.json").read_text())
    assert set(record) == {"identities", "before", "after"} and record["before"] != record["after"]


def test_errors_are_one_line(folder: Path, capsys) -> None:
    config = ["--config-file", str(folder / "config.yaml")]
    assert promptreid("diagnose", *config, "--weights", str(folder / "nowhere")) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("error: ")
    assert promptreid("diagnose", *config, "model.name", "vit_tiny_patch16_reid") == 2
    assert "MIP has no prompts that are measured" in capsys.readouterr().err
