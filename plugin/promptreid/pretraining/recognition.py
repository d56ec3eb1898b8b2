"""What teaches a tower to see: telling rendered people apart in visible light."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from promptreid.losses.identity import IdentityLoss
from promptreid.pretraining.images import COLOURS, Colours, draw_people, generator, normalise, recolour, render
from promptreid.pretraining.loop import Recipe


@dataclass(frozen=True)
class RecognitionRecipe(Recipe):
    """Identity classification.

    Not with a batch-hard triplet loss beside it: from random weights, that draws all features together first, and in so
    few steps attention does not recover.

    Args:
        people: how many there are in all.
        images: of each person in a batch.
        smoothing: of the labels.

    Raises:
        ValueError: values that can't be.
    """

    people: int = 300
    images: int = 4
    smoothing: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images < 2 or self.batch % self.images or self.batch // self.images > self.people:
            raise ValueError(
                f"batch: {self.batch} can't hold {self.images} images each of different people among {self.people}; "
                "it must be a multiple of images, which must be at least 2"
            )


class Recogniser(nn.Module):
    """The loss of features of people: a linear classifier on standardised features.

    Args:
        dim: D, width of the features.
        recipe: of the training.
    """

    def __init__(self, dim: int, recipe: RecognitionRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.bottleneck = nn.BatchNorm1d(dim)
        self.classifier = nn.Linear(dim, recipe.people, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)
        self.identity = IdentityLoss(recipe.smoothing)

    def forward(self, features_of: Callable[[Tensor], Tensor], step: int, colours: Colours = COLOURS) -> Tensor:
        """The loss of a step, a scalar.

        Args:
            features_of: maps images (B, 3, H, W) to features (B, D).
            step: 0-based.
            colours: what becomes of the pictures' colours.
        """
        recipe = self.recipe
        shots = draw_people(recipe.seed, step, recipe.batch // recipe.images, recipe.images, recipe.people)
        pids = torch.tensor([shot.pid for shot in shots])
        pictures = recolour(render(shots, recipe.seed), colours, generator(recipe.seed, "colours", step))
        features = features_of(normalise(pictures))
        loss: Tensor = self.identity(self.classifier(self.bottleneck(features)), pids)
        return loss
