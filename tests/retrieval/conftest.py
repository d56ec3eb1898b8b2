"""Finished trainings that the tests of this folder look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_runs import small_config

from promptreid.config import load_config
from promptreid.runs.run import run
from promptreid.synthetic import write_tree

ROOT = Path(__file__).parents[2]
DMPT = {
    "data.synthetic.like": "", "data.workers": 0, "data.height": 64, "data.width": 32, "train.max_epoch": 1,
    "train.tensorboard.pictures": False,
    "train.warmup_epochs": 0, "train.batch_size": 8, "sampler.num_instances": 4, "test.batch_size": 16,
}  # fmt: skip


@pytest.fixture(scope="session")
def mip(sysu_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The configuration of a finished training of MIP."""
    changes = {"train.max_epoch": 1, "train.warmup_epochs": 0}
    cfg = small_config(sysu_root, tmp_path_factory.mktemp("mip") / "run", **changes)
    run(cfg)
    return cfg


@pytest.fixture(scope="session")
def dmpt(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of DMPT with bind, on rendered triples."""
    folder = tmp_path_factory.mktemp("dmpt")
    write_tree("rgbnt201", folder / "RGBNT201", ids=6, seed=3, frames=2, size=(64, 32))
    overrides = {**DMPT, "data.root": str(folder), "data.save_dir": str(folder / "run")}
    cfg = load_config(ROOT / "configs" / "dmpt" / "quickstart.yaml", overrides=overrides)
    run(cfg)
    return cfg
