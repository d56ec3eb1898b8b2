"""Trains the towers that the package carries, from a seed to the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from promptreid.models.backbones.bundled_towers import (
    MINI,
    MINI_CLIP,
    MINI_LIT,
    MINI_VIT,
    MINI_VIT_NAME,
    mini_state,
)
from promptreid.pretraining.clip_training import ClipRecipe, train_clip
from promptreid.pretraining.lit_training import LitRecipe, train_lit
from promptreid.pretraining.loop import Recipe
from promptreid.pretraining.shipping import ship
from promptreid.pretraining.vit_training import VitRecipe, train_vit

THREADS = 1  # of each tower's training; another number adds numbers up in another order


RECIPES: dict[str, type[Recipe]] = {"mini_clip": ClipRecipe, "mini_vit": VitRecipe, "mini_lit": LitRecipe}


def recipe_of(name: str, **changes: Any) -> Recipe:
    """The recipe of a tower; changes (fields of the recipe) that are ``None`` are its own.

    Raises:
        ValueError: an unknown tower, or values that can't be.
    """
    if name not in MINI:
        raise ValueError(f"towers: there is no {name!r}; choose from {', '.join(MINI)}")
    chosen = {field: value for field, value in changes.items() if value is not None}
    return RECIPES[name](**chosen)


def train_tower(name: str, recipe: Recipe, out: Path) -> Path:
    """Train one tower and write its files into ``out``, going on from the checkpoint that is there.

    Returns:
        The weight file.

    Raises:
        ValueError: the checkpoint is another recipe's.
    """
    checkpoint, threads = out / "checkpoints" / f"{name}.pth", torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        if isinstance(recipe, ClipRecipe):
            state, losses = train_clip(recipe, checkpoint)
            return ship(name, state, MINI_CLIP, recipe, losses, out)
        if isinstance(recipe, LitRecipe):
            state, losses = train_lit(recipe, mini_state("mini_vit"), checkpoint)
            return ship(name, state, MINI_LIT, recipe, losses, out)
        assert isinstance(recipe, VitRecipe)
        state, losses = train_vit(recipe, checkpoint)
        return ship(name, state, {"name": MINI_VIT_NAME, **MINI_VIT}, recipe, losses, out)
    finally:
        torch.set_num_threads(threads)
