"""A training with all options beyond the paper, and what becomes of its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import promptreid
from promptreid.config import load_config
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.retrieval.extraction import extract
from promptreid.runs.run import run
from promptreid.synthetic import write_tree

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
SMALL = {
    "data.synthetic.like": "", "data.workers": 0, "data.height": 64, "data.width": 32, "train.max_epoch": 1,
    "train.tensorboard.pictures": False, "train.warmup_epochs": 0, "train.batch_size": 8, "sampler.num_instances": 4,
    "test.batch_size": 16,
}  # fmt: skip
OPTIONS = {
    "dmpt.preset": "dmpt_plus",
    "dmpt.bind": True,
    "dmpt.adapter": 8,
    "dmpt.adapter_shared": False,
    "dmpt.exchange": 4,
    "dmpt.lora": 2,
    "dmpt.fusion": True,
}
NEW = ("adapter", "exchange", "lora", "fusion")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The configuration of a finished training on rendered triples."""
    folder = tmp_path_factory.mktemp("beyond")
    write_tree("rgbnt201", folder / "RGBNT201", ids=6, seed=3, frames=2, size=(64, 32))
    places = {"data.root": str(folder), "data.save_dir": str(folder / "run")}
    cfg = load_config(ROOT / "configs" / "dmpt" / "quickstart.yaml", overrides={**SMALL, **OPTIONS, **places})
    run(cfg)
    return cfg


@pytest.fixture
def triples(trained: Any) -> list[dict[str, str]]:
    paths = [str(Path(trained.data.root) / path) for path in extract(trained).paths[:3]]
    return [{"rgb": path, "nir": path.replace("/RGB/", "/NI/"), "tir": path.replace("/RGB/", "/TI/")} for path in paths]


def test_a_checkpoint_holds_tuned_weights_alone_and_they_have_learned(trained: Any) -> None:
    newest = checkpoint.checkpoints(Path(trained.data.save_dir) / "model")[0]
    weights = checkpoint.load(newest)["state_dict"]
    parts = {name.partition(".")[0] for name in weights}
    assert {*NEW, "semantic_prompts", "bind", "classifier"} <= parts and "word_prompts" not in parts
    assert [name for name in weights if name.startswith("backbone")] == ["backbone.digest"]
    started_at_zero = [name for name in weights if name.endswith(("up.weight", "offset")) or name == "fusion.weight"]
    assert len(started_at_zero) >= 12 and all(weights[name].any() for name in started_at_zero)


def test_bundles_bring_the_same_vectors_and_folding_changes_none(
    trained: Any, triples: list[dict[str, str]], tmp_path: Path
) -> None:
    reid = promptreid.load(trained.data.save_dir)
    assert reid.model.parts is None, "modalities exchange"
    expected = reid.embed(triples).vectors
    reid.save_adapter(tmp_path / "adapter")
    again = promptreid.load(tmp_path / "adapter")
    np.testing.assert_array_equal(again.embed(triples).vectors, expected)
    reid.load_adapter(tmp_path / "adapter", "second")
    reid.set_adapter("second")
    np.testing.assert_array_equal(reid.embed(triples).vectors, expected)
    with torch.no_grad():
        again.network.lora[0].query.up.weight.mul_(-30)
    assert not np.allclose(again.embed(triples).vectors, expected, atol=1e-4), "they are part of the vectors"
    assert reid.fold() == [], "there are no words"
    np.testing.assert_array_equal(reid.embed(triples).vectors, expected)
