"""Checkpoints that survive a kill: written atomically, read without executing code."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from promptreid.models.weights import read_pickle

logger = logging.getLogger(__name__)

PATTERN = re.compile(r"model\.pth\.tar-(\d+)")
"""torchreid's own name for the checkpoint after an epoch."""


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name complete, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def save(state: dict[str, Any], folder: Path, keep: int = 2) -> Path:
    """Write ``state`` as ``folder/model.pth.tar-<epoch>`` and remove all but the newest ``keep`` checkpoints.

    Args:
        state: tensors and Python primitives only, with ``epoch`` = number of finished epochs.
        folder: created when missing.
        keep: at least 1.
    """
    path = folder / f"model.pth.tar-{state['epoch']}"
    with atomic_write(path) as file:
        torch.save(state, file)
    for old in checkpoints(folder)[keep:]:
        old.unlink()
    return path


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, newest epoch first."""
    found = [
        (int(match[1]), path) for path in folder.glob("model.pth.tar-*") if (match := PATTERN.fullmatch(path.name))
    ]
    return [path for _, path in sorted(found, reverse=True)]


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU; only tensors and primitives are accepted.

    Raises:
        FileNotFoundError: no such file.
        ValueError: truncated, not a checkpoint, or one that would execute code.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    state = read_pickle(path)
    if not isinstance(state, dict) or "state_dict" not in state:
        raise ValueError(f"{path}: holds no state_dict; expected a checkpoint of a training run")
    return state


def load_newest(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint of a run that can be read; a broken one is passed over with a loud message.

    Raises:
        FileNotFoundError: there is no readable checkpoint.
    """
    for path in checkpoints(folder):
        try:
            return path, load(path)
        except ValueError as error:
            logger.error("BROKEN CHECKPOINT passed over, falling back to the one before: %s", error)
    raise FileNotFoundError(f"{folder}: no readable checkpoint to resume from")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
