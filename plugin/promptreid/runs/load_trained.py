"""What tools need that look at a trained model: its test data, and the model with its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from promptreid import host
from promptreid.config import validate
from promptreid.engine.checkpoints.random_state import seed_everything
from promptreid.engine.train_engine import PromptEngine
from promptreid.runs.build import build_datamanager, build_engine, build_model
from promptreid.runs.run import render_if_absent, trained_data


def open_target(cfg: Any, training: bool = False) -> tuple[Any, str]:
    """The data manager of a configuration, and the name of its one target data set.

    Args:
        cfg: a tree from ``load_config``.
        training: images of the sources are wanted, too, whatever the weights say of their training.

    Raises:
        ValueError, FileNotFoundError: a configuration or data set that cannot be used, or several targets.
    """
    validate(cfg, host.model_names(), host.dataset_names(), training=False)
    targets = cfg.data.targets or cfg.data.sources
    if len(targets) != 1:
        raise ValueError(f"data.targets: one data set is looked at at a time; choose one of {list(targets)}")
    render_if_absent(cfg)
    seed_everything(cfg.train.seed)
    trained = None if training else trained_data(cfg)
    return build_datamanager(cfg, torch.cuda.is_available(), trained), targets[0]


def trained_engine(cfg: Any, datamanager: Any) -> PromptEngine:
    """An engine in evaluation mode, with the weights ``model.load_weights`` or else the run's newest checkpoint.

    Args:
        cfg: a tree from ``load_config``.
        datamanager: from :func:`open_target`.

    Raises:
        ValueError, FileNotFoundError: a model or weights that cannot be used.
    """
    use_gpu = torch.cuda.is_available()
    model = build_model(cfg, datamanager, use_gpu, weights_follow=True)
    engine = build_engine(cfg, datamanager, model.cuda() if use_gpu else model, use_gpu)
    engine.load_weights(Path(cfg.model.load_weights or cfg.data.save_dir))
    engine.set_model_mode("eval")
    return engine
