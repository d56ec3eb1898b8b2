"""Features of a data set's test images, from a configuration and a trained model's weights."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from promptreid.data.batch import PathBundle
from promptreid.engine.checkpoints.random_state import random_states_kept
from promptreid.engine.train_engine import PromptEngine
from promptreid.engine.unreadable import warn_of_left_out
from promptreid.evaluation.features_io import SPLITS, FeatureTable
from promptreid.runs.load_trained import open_target, trained_engine


@random_states_kept()
def extract(cfg: Any) -> FeatureTable:
    """Features of all queries and gallery images of the one target data set.

    The weights are ``model.load_weights``, or else the newest checkpoint in ``data.save_dir``. Features are of unit
    length where ``test.normalize_feature`` says so. Paths are relative to ``data.root``.

    Args:
        cfg: a tree from ``load_config``.

    Raises:
        ValueError, FileNotFoundError: a configuration, data set or checkpoint that cannot be used.
    """
    datamanager, target = open_target(cfg)
    engine = trained_engine(cfg, datamanager)
    loaders = engine.test_loader[target]
    sides = [_side(engine, loaders[split], split, cfg) for split in SPLITS]
    shared = [name for name in sides[0] if name in sides[1] and name != "features"]
    columns = {name: np.concatenate([side[name] for side in sides]) for name in shared}
    return FeatureTable(features=torch.cat([side["features"] for side in sides]), **columns)


@torch.no_grad()
def _side(engine: PromptEngine, loader: Any, split: str, cfg: Any) -> dict[str, Any]:
    whole = engine.features_of(loader, cfg.test.normalize_feature, split)
    images, paths = whole.select(whole.used()), [loader.dataset.data[row][0] for row in whole.used()]
    warn_of_left_out(split, [] if whole.left_out is None else [reason for reason in whole.left_out if reason])
    side = {
        "features": images.features,
        "pids": images.pids,
        "camids": images.camids,
        "split": np.full(len(images), split),
        "paths": np.array([os.path.relpath(path, cfg.data.root) for path in paths]),
    }
    if images.scenes is not None:
        side["scenes"] = images.scenes
    if all(isinstance(path, PathBundle) for path in paths):
        side["modality"] = np.array(["+".join(path.paths) for path in paths])
    return side
