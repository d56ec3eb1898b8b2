"""Prompts that start as patch tokens of training images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from promptreid.methods.dmpt.modality_prompts import FreeBlockPrompts, FreeModalityPrompts
from promptreid.models.backbones.block_form import BlockForm
from promptreid.models.present_images import Slots, size_of, slots_of


@torch.no_grad()
def start_from_patches(model: Any, samples: Tensor | Mapping[str, Tensor], seed: int) -> None:
    """Give prompts, in place, the values of patch tokens where they enter.

    The semantic prompts of block l become tokens that enter block l, drawn without replacement from all images;
    modality prompts that have no words (``word_source`` ``learned``) become tokens of images of their modality. The
    images go through the frozen blocks without prompts.

    Args:
        model: A :class:`~promptreid.methods.dmpt.model.DMPT`.
        samples: Training images, as the model takes them.
        seed: Of the draw.

    Raises:
        ValueError: Too few patches, or a modality without an image.

    References:
        Wang et al., Revisiting the Power of Prompt for Visual Tuning (SPT), ICML 2024, arXiv 2402.02382, which draws
        or clusters such tokens.
    """
    device = next(model.parameters()).device
    moved = samples.to(device) if isinstance(samples, Tensor) else {name: v.to(device) for name, v in samples.items()}
    slots = slots_of(moved, model.modalities, model.images_per_sample)
    generator = torch.Generator().manual_seed(seed)
    plan, semantic = model.plan, model.semantic_prompts
    tower = model.tower
    tokens = tower.embed(slots.images)
    form = BlockForm(tower.turns(size_of(slots.images), tokens.device))
    for layer in range(1, plan.last + 1):
        number = layer - plan.first
        if semantic is not None and 0 <= number < len(semantic.prompts):
            semantic.prompts[number] = _drawn(
                tokens[:, tower.prefix :], semantic.prompts.shape[1], generator, "semantic_length"
            )
        if layer >= model.word_first:
            _set_modality_prompts(model, layer - model.word_first, tokens[:, tower.prefix :], slots, generator)
        if layer < plan.last:
            tokens = tower.run(layer - 1, tokens, form=form)


def _set_modality_prompts(model: Any, number: int, patches: Tensor, slots: Slots, generator: torch.Generator) -> None:
    prompts = model.word_prompts
    if isinstance(prompts, FreeBlockPrompts):
        table = prompts.prompts[number]
    elif isinstance(prompts, FreeModalityPrompts) and number == 0:
        table = prompts.prompts
    else:
        return
    for modality, name in enumerate(model.modalities):
        own = patches[slots.labels == modality]
        if not len(own):
            raise ValueError(
                f"prompt_init='patches': none of the training images drawn is {name}; raise train.batch_size, or set "
                "prompt_init='normal'"
            )
        table[modality] = _drawn(own, table.shape[1], generator, "word_length")


def _drawn(patches: Tensor, count: int, generator: torch.Generator, key: str) -> Tensor:
    """``count`` of the patch tokens (n, N, D), (count, D)."""
    rows = patches.flatten(0, 1)
    if len(rows) < count:
        raise ValueError(
            f"prompt_init='patches': {key}={count} prompts want as many patches, and the images have {len(rows)}; "
            f"raise train.batch_size, or lower {key}"
        )
    return rows[torch.randperm(len(rows), generator=generator)[:count].to(rows.device)]
