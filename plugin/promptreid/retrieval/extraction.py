"""Features of a data set's test images, from a configuration and a trained model's weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from promptreid import host
from promptreid.config import validate
from promptreid.data.batch import PathBundle
from promptreid.engine.build import build_datamanager, build_engine, build_model
from promptreid.engine.prompt_engine import PromptEngine, seed_everything
from promptreid.engine.runner import render_if_absent
from promptreid.evaluation.features_io import SPLITS, FeatureTable


def extract(cfg: Any) -> FeatureTable:
    """Features of all queries and gallery images of the one target data set.

    The weights are ``model.load_weights``, or else the newest checkpoint in ``data.save_dir``. Features are of unit
    length where ``test.normalize_feature`` says so. Paths are relative to ``data.root``.

    Args:
        cfg: a tree from ``load_config``.

    Raises:
        ValueError, FileNotFoundError: a configuration, data set or checkpoint that cannot be used.
    """
    validate(cfg, models=host.model_names(), datasets=host.dataset_names())
    targets = cfg.data.targets or cfg.data.sources
    if len(targets) != 1:
        raise ValueError(f"data.targets: a file holds the features of one data set; choose one of {list(targets)}")
    use_gpu = torch.cuda.is_available()
    render_if_absent(cfg)
    seed_everything(cfg.train.seed)
    datamanager = build_datamanager(cfg, use_gpu)
    engine = _engine(cfg, datamanager, use_gpu)
    loaders = engine.test_loader[targets[0]]
    sides = [_side(engine, loaders[split], split, cfg) for split in SPLITS]
    columns = {name: np.concatenate([side[name] for side in sides]) for name in sides[0] if name != "features"}
    return FeatureTable(features=torch.cat([side["features"] for side in sides]), **columns)


def _engine(cfg: Any, datamanager: Any, use_gpu: bool) -> PromptEngine:
    cfg = cfg.clone()
    cfg.defrost()
    cfg.model.pretrained = False  # the weights follow
    model = build_model(cfg, datamanager, use_gpu)
    engine = build_engine(cfg, datamanager, model.cuda() if use_gpu else model, use_gpu)
    engine.load_weights(Path(cfg.model.load_weights or cfg.data.save_dir))
    engine.set_model_mode("eval")
    return engine


@torch.no_grad()
def _side(engine: PromptEngine, loader: Any, split: str, cfg: Any) -> dict[str, Any]:
    images = engine.features_of(loader, cfg.test.normalize_feature, split)
    paths = [record[0] for record in loader.dataset.data]
    side = {
        "features": images.features,
        "pids": images.pids,
        "camids": images.camids,
        "split": np.full(len(images), split),
        "paths": np.array([os.path.relpath(path, cfg.data.root) for path in paths]),
    }
    if all(isinstance(path, PathBundle) for path in paths):
        side["modality"] = np.array(["+".join(path.paths) for path in paths])
    return side
