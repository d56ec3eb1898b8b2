"""The images of one sample, augmented alike, and the choice of those that are left out.

The field's habit is to draw anew for each modality, so that the three images of a sample are cropped and flipped
differently. Aligned, each step of a chain draws from a seed made of the sample's own, the step's name and how many
steps of that name came before it. So a crop moves all images by the same pixels, even where another modality has
further steps in its chain.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch

from promptreid.data.augmentations import random_state_of, seed_generators
from promptreid.data.transforms import Chain, Transform

POOLED = "RandomPatch"
"""torchreid's ``random_patch``: it pastes pieces of the images it met before, and so can't be replayed."""

_SAME_DRAWS = {"RandomHorizontalFlip": "random_flip"}
"""Steps of torchreid's that draw as ours of another name do."""


def transform_aligned(images: Mapping[str, Any], chains: Mapping[str, Transform], seed: int) -> dict[str, Any]:
    """Apply to each image its chain, with the same random numbers in steps of the same name.

    The random state is afterwards as it was before.

    Args:
        images: by modality.
        chains: by modality; chains of ours, or any with a list ``transforms`` as torchvision's ``Compose`` has it.
        seed: of this sample, 32 bit.
    """
    with random_state_of(seed):
        return {name: _transform(image, chains[name], seed) for name, image in images.items()}


def named_steps(chain: Transform) -> list[tuple[str, Transform]]:
    """The steps of a chain; those of torchreid's are called as their class is."""
    if isinstance(chain, Chain):
        return list(chain.steps)
    steps = getattr(chain, "transforms", [chain])
    return [(_SAME_DRAWS.get(type(step).__name__, type(step).__name__), step) for step in steps]


def choose_kept(names: list[str], p: float) -> list[str]:
    """Those of ``names`` that aren't dropped; each is with probability ``p``, but one of them always stays.

    Draws from torch's generator, and not at all when ``p`` is 0.
    """
    if p == 0:
        return names
    kept = [name for name, draw in zip(names, torch.rand(len(names)).tolist(), strict=True) if draw >= p]
    return kept or [names[int(torch.randint(len(names), ()))]]


def _transform(image: Any, chain: Transform, seed: int) -> Any:
    before: Counter[str] = Counter()
    for name, step in named_steps(chain):
        seed_generators(zlib.crc32(f"{seed} {name} {before[name]}".encode()))
        before[name] += 1
        image = step(image)
    return image
