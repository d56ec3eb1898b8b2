"""Training loggers: the interface, and the registry of the names that configurations use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from promptreid.config.keys import did_you_mean
from promptreid.config.sections import add_choice
from promptreid.engine.checkpoints.position import Position
from promptreid.engine.views.projector import Objects
from promptreid.evaluation.statistics.precision_recall import PrecisionRecall

KEY = "train.loggers"


class RunLogger:
    """Training logger: writes or sends events. A subclass overrides the events that it keeps and ignores the rest.

    It is made in the process that writes, once what can be checked of the run is found good.

    Tags are paths, ``Train/loss``. A step counts from 0: batches of the whole run for ``Train``, ``LR``, ``Speed`` and
    ``Memory``, ranks (from 1) for ``CMC``, epochs for all else.

    Args:
        folder: of the run.
        position: where the run goes on; what an earlier process has written after it is to be forgotten.
    """

    def __init__(self, folder: Path, position: Position) -> None:
        self.folder, self.position = folder, position

    @classmethod
    def check(cls) -> None:
        """Raise ``ModuleNotFoundError``, with the remedy, where a package is missing; called before data are read."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by tag. The training calls it for each batch, so it should take well below a millisecond."""

    def text(self, tag: str, text: str, step: int) -> None:
        """Log a text in Markdown."""

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Log a picture, (H, W, 3) uint8."""

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """Log a histogram of finite numbers, (N,) float32, N at least 1."""

    def precision_recall(self, tag: str, curve: PrecisionRecall, step: int) -> None:
        """Log a precision-recall curve over pairs."""

    def embedding(self, name: str, objects: Objects) -> None:
        """Log features with their labels and thumbnails; a later call with the same name replaces them."""

    def layout(self, charts: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Groups of charts: title of the group, title of the chart, regular expressions of its scalars' tags."""

    def hparams(self, parameters: Mapping[str, str | float | bool], metrics: Mapping[str, float]) -> None:
        """At the end of the run: keys of its configuration, and its last results by tag."""

    def flush(self) -> None:
        """Write all events to the disk, before a checkpoint records them as done."""

    def close(self) -> None:
        """Close the logger; no event follows."""


_BUILT_IN = {
    "tensorboard": "promptreid.engine.loggers.tensorboard_logger.TensorBoardLogger",
    "mlflow": "promptreid.engine.loggers.mlflow_logger.MLflowLogger",
}
LOGGERS: dict[str, type[RunLogger]] = {}
"""Loggers of plugins by the name that ``train.loggers`` has."""


def register_logger(name: str, logger: type[RunLogger]) -> None:
    """Register a logger, so that ``train.loggers`` takes its name. A second, equal call does nothing.

    Args:
        name: lower case.
        logger: a subclass of :class:`RunLogger`.

    Raises:
        ValueError: another logger has this name.
    """
    present = LOGGERS.get(name, _BUILT_IN.get(name))
    if present is logger:
        return
    if present is not None:
        raise ValueError(f"logger name {name!r} is taken by {present}; choose another")
    if not name.isidentifier() or name != name.lower():
        raise ValueError(f"logger name {name!r}: use lower-case letters, digits and underscores")
    LOGGERS[name] = logger
    add_choice(KEY, name)


def logger_named(name: str) -> type[RunLogger]:
    """The class of a logger, which is imported when it is first asked for.

    Raises:
        ValueError: nobody has registered it.
    """
    if name in LOGGERS:
        return LOGGERS[name]
    if name not in _BUILT_IN:
        known = [*_BUILT_IN, *LOGGERS]
        raise ValueError(f"{KEY}: unknown name {name!r}{did_you_mean(name, known)} (one of {', '.join(known)})")
    module, _, attribute = _BUILT_IN[name].rpartition(".")
    found: Any = getattr(import_module(module), attribute)
    return found
