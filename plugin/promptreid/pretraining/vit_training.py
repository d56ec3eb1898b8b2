"""The small ViT: timm's, trained to tell rendered people apart in visible light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.models.mini import MINI_VIT, MINI_VIT_NAME
from promptreid.models.vit import create_vit
from promptreid.models.weights import StateDict
from promptreid.pretraining.loop import EVERY, train
from promptreid.pretraining.recognition import Recogniser, RecognitionRecipe


@dataclass(frozen=True)
class VitRecipe(RecognitionRecipe):
    """Recognition alone."""

    steps: int = 550


def train_vit(
    recipe: VitRecipe, checkpoint: Path, overrides: dict[str, Any] | None = None, every: int = EVERY
) -> tuple[StateDict, list[float]]:
    """Train the small ViT.

    Args:
        recipe: how.
        checkpoint: where to keep what has been reached, and where to go on from.
        overrides: of the ViT; :data:`~promptreid.models.mini.MINI_VIT` if not given.
        every: steps from one checkpoint to the next.

    Returns:
        The ViT's state dict, without classifier, and the loss of each step.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        vit: Any = create_vit(MINI_VIT_NAME, drop_path=0.0, **(MINI_VIT if overrides is None else overrides))
        recogniser = Recogniser(vit.embed_dim, recipe)

    def loss_of(step: int) -> Tensor:
        loss: Tensor = recogniser(vit, step)
        return loss

    losses = train(nn.ModuleDict({"vit": vit, "recogniser": recogniser}), loss_of, recipe, checkpoint, every)
    return {name: value.detach() for name, value in vit.state_dict().items()}, losses
