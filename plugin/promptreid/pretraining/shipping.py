"""Writes a trained tower as the package carries it: half precision, and a record of how it came about."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from promptreid.files import atomic_write, write_text
from promptreid.models.weights import StateDict
from promptreid.pretraining.loop import Recipe
from promptreid.versions import version_of

PACKAGES = ("torch", "open_clip_torch", "timm", "numpy", "opencv-python-headless", "safetensors")
WINDOW = 50  # steps of which the record keeps the mean loss
NORMALISATION = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


def half(state: StateDict) -> StateDict:
    """Floats as float16, everything else as it is."""
    return {name: (value.half() if value.is_floating_point() else value).contiguous() for name, value in state.items()}


def record_of(
    name: str, architecture: dict[str, Any], recipe: Recipe, losses: Sequence[float], content: bytes
) -> dict[str, Any]:
    """What the ``.json`` beside a weight file says; the same training gives the same record."""
    means = [sum(losses[at : at + WINDOW]) / len(losses[at : at + WINDOW]) for at in range(0, len(losses), WINDOW)]
    return {
        "name": name,
        "architecture": architecture,
        "normalisation": NORMALISATION,
        "seed": recipe.seed,
        "recipe": asdict(recipe),
        "recipe_sha256": recipe.digest(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **{package: version_of(package) for package in PACKAGES}},
        "losses": {"steps": WINDOW, "means": [round(mean, 4) for mean in means]},
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def ship(
    name: str,
    state: StateDict,
    architecture: dict[str, Any],
    recipe: Recipe,
    losses: Sequence[float],
    folder: Path,
) -> Path:
    """Write ``name.safetensors`` and ``name.json`` into ``folder``; each appears when it is complete.

    Returns:
        The weight file.
    """
    from safetensors.torch import save

    content = save(half(state), metadata={"recipe": recipe.digest()})
    record = record_of(name, architecture, recipe, losses, content)
    path = folder / f"{name}.safetensors"
    with atomic_write(path) as file:
        file.write(content)
    write_text(path.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    return path
