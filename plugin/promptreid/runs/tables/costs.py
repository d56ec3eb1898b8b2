"""What a way to train costs: trained parameters, memory for the backward pass, seconds per step."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptreid.config.merge import merged
from promptreid.data.batch import ModalBatch
from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.models.parameter_count import count_parameters
from promptreid.models.saved_activations import kept_bytes
from promptreid.runs.build import build_engine, build_model
from promptreid.runs.load_trained import open_target

_SAMPLES = 8  # of the batch that memory is measured with; more would need more of it
_STEP = re.compile(r"\bstep (?P<seconds>[0-9.]+) s: data (?P<waited>[0-9]+) %")


@dataclass(frozen=True)
class Cost:
    """Of a row of a table.

    Attributes:
        trained: scalars in trained parameters, heads included.
        kept: bytes per image that autograd saves in a training forward pass, the model's own weights not among them.
        step: seconds of a training step without its wait for data, None where nothing was trained or measured.
    """

    trained: int = 0
    kept: float = 0.0
    step: float | None = None


def cost_of(cfg: Any, folders: Sequence[Path]) -> Cost:
    """The cost of training with ``cfg``: of a few samples of its first batch, and of what these runs have logged.

    Args:
        cfg: a tree from ``load_config``, for a data set of this package.
        folders: of runs with it.
    """
    cfg = merged(cfg, {"data.workers": 0, "data.persistent_workers": False})
    datamanager, _ = open_target(cfg, training=True)
    engine = build_engine(cfg, datamanager, build_model(cfg, datamanager, use_gpu=False), use_gpu=False)
    trained = sum(part.trainable for part in count_parameters(engine.model).values())
    batch = next(iter(datamanager.train_loader))["img"]
    inputs = ModalBatch({name: tensor[:_SAMPLES] for name, tensor in batch.items()})
    with engine.steps.autocast("cpu"):
        kept = kept_bytes(engine.model, inputs) / int(inputs["present"].sum())
    return Cost(trained, kept, step_seconds(folders))


def step_seconds(folders: Sequence[Path]) -> float | None:
    """Median over the epochs of several runs of a step's mean seconds, from their logs; None where there are none."""
    found = []
    for folder in folders:
        log = RunFolder(folder).log
        for match in _STEP.finditer(log.read_text(encoding="utf-8") if log.exists() else ""):
            found.append(float(match["seconds"]) * (1 - int(match["waited"]) / 100))
    return statistics.median(found) if found else None
