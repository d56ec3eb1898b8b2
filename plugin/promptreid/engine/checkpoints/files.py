"""Checkpoints that survive a kill: written atomically, read without executing code."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from promptreid.files import atomic_write, explained_writes
from promptreid.models.weights import read_pickle
from promptreid.safetensors_header import read_header

logger = logging.getLogger(__name__)

PATTERN = re.compile(r"model\.pth\.tar-(\d+)(?:-(\d+))?")
"""torchreid's own name for the checkpoint after an epoch; within the next one, the number of its batches follows."""

_REMEDY = "the checkpoint before it is whole: make room, then continue with --resume"


def save(state: dict[str, Any], folder: Path, keep: int = 2) -> Path:
    """Write ``state`` as ``folder/model.pth.tar-<epoch>[-<step>]`` and remove all but the newest ``keep`` checkpoints.

    Args:
        state: tensors and Python primitives only, with ``epoch`` = number of finished epochs and, within the next one,
            ``step`` = number of its batches that are done.
        folder: created when missing.
        keep: at least 1.

    Raises:
        ValueError: the file system refuses; the checkpoints of before are whole.
    """
    step = state.get("step", 0)
    path = folder / (f"model.pth.tar-{state['epoch']}" + (f"-{step}" if step else ""))
    with explained_writes(path, _REMEDY):
        with atomic_write(path) as file:
            torch.save(state, file)
        for old in checkpoints(folder)[keep:]:
            old.unlink()
    return path


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, the newest first."""
    matches = [(PATTERN.fullmatch(path.name), path) for path in folder.glob("model.pth.tar-*")]
    found = [((int(match[1]), int(match[2] or 0)), path) for match, path in matches if match]
    return [path for _, path in sorted(found, reverse=True)]


def set_aside_newer(path: Path) -> None:
    """Rename the checkpoints that are newer than ``path``, which a run is about to go on from.

    They are broken, or a future that is given up; under their names they would be resumed from later.
    """
    names = checkpoints(path.parent)
    for newer in names[: names.index(path)] if path in names else ():
        newer.replace(newer.with_name(f"{newer.name}.abandoned"))
        logger.warning("%s is newer than the checkpoint that is continued: renamed to %s.abandoned", newer, newer.name)


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
    _check_entries(state, path)
    return state


_ENTRIES: dict[str, type | tuple[type, ...]] = {
    "state_dict": Mapping, "ema": Mapping, "epoch": int, "step": int, "batches": int, "processes": int,
    "rank1": (int, float), "data": dict, "config": str, "split": str, "versions": dict, "rng_of_others": list,
}  # fmt: skip
"""What the entries of a checkpoint are, where they are there."""


def _check_entries(state: Mapping[str, Any], path: Path) -> None:
    """Raise ``ValueError`` for an entry of another type, or weights that are no tensors."""
    for name, kind in _ENTRIES.items():
        if name in state and not isinstance(state[name], kind):
            found = type(state[name]).__name__
            raise ValueError(f"{path}: its {name} is a {found}, which no checkpoint has; take the one before it")
    weights = [*state["state_dict"].items(), *state.get("ema", {}).items()]
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in weights):
        raise ValueError(f"{path}: its state_dict holds other things than tensors; take the checkpoint before it")


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


def save_weights(weights: Mapping[str, Tensor], path: Path, about: Mapping[str, str]) -> None:
    """Write tensors as a ``.safetensors`` file, with a few words about them in its header.

    Raises:
        ValueError: the file system refuses.
    """
    # Safetensors takes no tensors that are views, or that share memory.
    own = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    with explained_writes(path, _REMEDY), atomic_write(path) as file:
        file.write(safetensors_bytes(own, metadata=dict(about)))


def about_weights(path: Path) -> dict[str, str]:
    """What the header of a ``.safetensors`` file says about it; nothing for other files."""
    if path.suffix != ".safetensors":
        return {}
    try:
        about = read_header(path).get("__metadata__", {})
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in about.items()} if isinstance(about, dict) else {}
