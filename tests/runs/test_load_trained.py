from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from toy_triples import SIZE, ToyTriples, write_triples

from promptreid import host
from promptreid.config import load_config
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.runs.load_trained import open_target, trained_engine


def test_a_models_weights_come_from_the_run_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    """Nothing pretrained is looked for, although the configuration still asks for it, as it did in training."""
    monkeypatch.setitem(host._DATASETS, "toy_triples", ToyTriples)
    write_triples(tmp_path)
    torch.manual_seed(5)
    written = host.models.build_model("three_osnet_x0_25", 4, "triplet", pretrained=False)
    checkpoint.save({"state_dict": written.state_dict(), "epoch": 1}, tmp_path / "run" / "model")
    keys = {
        "data.root": str(tmp_path),
        "data.sources": ["toy_triples"],
        "data.targets": ["toy_triples"],
        "data.height": SIZE[0],
        "data.width": SIZE[1],
        "data.workers": 0,
        "data.save_dir": str(tmp_path / "run"),
        "loss.name": "triplet",
        "model.name": "three_osnet_x0_25",
        "model.pretrained": True,
        "train.batch_size": 8,
    }
    cfg = load_config(None, overrides=keys)
    with caplog.at_level(logging.WARNING):
        datamanager, name = open_target(cfg)
        engine = trained_engine(cfg, datamanager)
    assert "ImageNet" not in caplog.text and cfg.model.pretrained
    assert name == "toy_triples" and not engine.model.training
    loaded = engine.model.state_dict()
    assert [key for key, value in written.state_dict().items() if not torch.equal(loaded[key], value)] == []


def test_one_target_at_a_time() -> None:
    overrides = {"data.sources": ["rgbnt201"], "data.targets": ["rgbnt201", "msvr310"]}
    with pytest.raises(ValueError, match=r"data\.targets: .* choose one of \['rgbnt201', 'msvr310'\]"):
        open_target(load_config(None, overrides=overrides))
