"""The files of a run, written by one process."""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.checkpoints.best_weights import Origin
from promptreid.engine.checkpoints.metrics_log import NAME, MetricsLog
from promptreid.evaluation.results import Results

logger = logging.getLogger(__name__)

_SPARE = 3  # two checkpoints are kept while the next is written


class RunFolder:
    """``data.save_dir``: checkpoints, weights, results and metrics.

    Args:
        path: the folder; nothing is created before something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.models = path / "model"
        self.metrics = MetricsLog(path / NAME)

    def holds_run(self) -> bool:
        """Whether a training or a test has written here."""
        return (self.path / "config.yaml").exists() or bool(checkpoint.checkpoints(self.models))

    def owns(self, source: Path) -> bool:
        """Whether a checkpoint, or a run's folder, is in here."""
        return source.resolve().is_relative_to(self.path.resolve())

    def move_aside(self) -> None:
        """Rename the folder to the first free ``<name>.<number>``."""
        number = next(n for n in range(1, 10_000) if not self.path.with_name(f"{self.path.name}.{n}").exists())
        aside = self.path.rename(self.path.with_name(f"{self.path.name}.{number}"))
        logger.info("an earlier run was moved to %s", aside)

    def prepare(self, checkpoint_bytes: int) -> None:
        """Create the folder and make sure, before the first step, that checkpoints can be written.

        Args:
            checkpoint_bytes: expected size of one; 0 where only results are written.

        Raises:
            ValueError: no permission, not a folder, or too little room.
        """
        wanted = _SPARE * checkpoint_bytes
        free = shutil.disk_usage(next(place for place in (self.path, *self.path.parents) if place.exists())).free
        if free < wanted:
            raise ValueError(
                f"data.save_dir {self.path}: {_size(free)} are free, and the checkpoints need about {_size(wanted)}; "
                "make room or choose another folder"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for folder in (self.path, self.models):
                checkpoint.remove_leftovers(folder)
            with checkpoint.atomic_write(self.path / ".probe") as file:
                file.write(bytes(1024))
            (self.path / ".probe").unlink()
        except OSError as error:
            raise ValueError(
                f"data.save_dir {self.path} cannot be written to ({error.strerror or error}); choose another folder"
            ) from None

    def save(self, state: dict[str, Any], weights: dict[str, Any]) -> None:
        """Write a checkpoint, and the weights that it is tested with as ``model.safetensors``."""
        self.metrics.sync()
        path = checkpoint.save(state, self.models)
        about = {
            "epoch": str(state["epoch"]),
            "step": str(state.get("step", 0)),
            "select": "last",
            "split": state["split"],
        }
        checkpoint.save_weights(weights, path.with_name("model.safetensors"), about)

    def save_best(self, weights: dict[str, Any], origin: Origin, split: str) -> None:
        """Write selected weights as ``best.safetensors``, with the split that they were trained on."""
        about = {"epoch": str(origin.epoch), "select": origin.select, "target": origin.target, "split": split}
        checkpoint.save_weights(weights, self.models / "best.safetensors", about)

    def save_results(self, dataset: str, results: Sequence[Results], about: dict[str, Any]) -> None:
        """Write ``results-<dataset>.json``."""
        record = {
            **about,
            "time": time.strftime("%Y-%m-%dT%H:%M:%S"),
            "dataset": dataset,
            "results": [result.as_dict() for result in results],
        }
        self._write_json(f"results-{dataset}.json", record)

    def save_nonfinite(self, record: dict[str, Any]) -> Path:
        """Write which batch has ended a training; the file's path."""
        return self._write_json("nonfinite-batch.json", record)

    def _write_json(self, name: str, record: dict[str, Any]) -> Path:
        with checkpoint.atomic_write(self.path / name) as file:
            file.write(json.dumps(record, indent=1).encode())
        return self.path / name


def expected_checkpoint_bytes(model: nn.Module, copies: int) -> int:
    """About how large a checkpoint of a training will be: the state dict, two optimiser states, and further copies.

    Args:
        model: any module.
        copies: further copies of the weights, such as averaged or selected ones.
    """
    weights = sum(value.nbytes for value in model.state_dict().values() if hasattr(value, "nbytes"))
    trained = sum(parameter.nbytes for parameter in model.parameters())
    return weights * (1 + copies) + 2 * trained


def _size(size: int) -> str:
    power = min(int(math.log(size, 1000)), 4) if size else 0
    return f"{size / 1000**power:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
