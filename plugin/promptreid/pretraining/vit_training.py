"""The small ViT: timm's, trained to tell rendered people apart in visible light, with and without its colours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.models.backbones.bundled_towers import MINI_VIT, MINI_VIT_NAME
from promptreid.models.backbones.vit import create_vit
from promptreid.models.weights import StateDict
from promptreid.pretraining.images import Colours
from promptreid.pretraining.loop import EVERY, train
from promptreid.pretraining.recognition import Recogniser, RecognitionRecipe


@dataclass(frozen=True)
class VitRecipe(RecognitionRecipe):
    """Recognition alone, from its middle on mostly without colours.

    A tower trained with colours throughout matched visible and infrared pictures less well, both at once and after
    further training on them; docs/mini.md has the figures.

    Args:
        grey: see :class:`~promptreid.pretraining.images.Colours`; half of the steps pass before the share is reached,
            for a tower that sees nothing yet learns from colours first.
        negative: likewise.

    Raises:
        ValueError: values that can't be.
    """

    steps: int = 1500
    grey: float = 0.6
    negative: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        Colours(self.grey, self.negative)

    def colours_at(self, step: int) -> Colours:
        """Those of a step, 0-based: all of them in the first sixth, and less and less until the half."""
        share = (6 * step / self.steps - 1) / 2
        return Colours(self.grey * min(1.0, max(0.0, share)), self.negative)


def train_vit(
    recipe: VitRecipe, checkpoint: Path, overrides: dict[str, Any] | None = None, every: int = EVERY
) -> tuple[StateDict, list[float]]:
    """Train the small ViT.

    Args:
        recipe: how.
        checkpoint: where to keep what has been reached, and where to go on from.
        overrides: of the ViT; :data:`~promptreid.models.backbones.bundled_towers.MINI_VIT` if not given.
        every: steps from one checkpoint to the next.

    Returns:
        The ViT's state dict, without classifier, and the loss of each step.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        vit: Any = create_vit(MINI_VIT_NAME, drop_path=0.0, **(MINI_VIT if overrides is None else overrides))
        recogniser = Recogniser(vit.embed_dim, recipe)

    def loss_of(step: int) -> Tensor:
        loss: Tensor = recogniser(vit, step, recipe.colours_at(step))
        return loss

    losses = train(nn.ModuleDict({"vit": vit, "recogniser": recogniser}), loss_of, recipe, checkpoint, every)
    return {name: value.detach() for name, value in vit.state_dict().items()}, losses
