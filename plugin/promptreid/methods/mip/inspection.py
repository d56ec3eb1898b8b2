"""Looking into a MIP: where its tokens look, what its prompts are and read, and what it does without them."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from promptreid.methods.mip.prompts import InstancePromptGenerator
from promptreid.models.backbones.attention import block_attention
from promptreid.models.backbones.block_form import PLAIN, BlockForm
from promptreid.models.backbones.partial_block import Context
from promptreid.models.backbones.rotary import behind
from promptreid.models.heads import PooledHead
from promptreid.models.inspection import (
    PATCHES,
    ImageFeatures,
    Inspection,
    LayerAttention,
    PromptSet,
    checked,
    image_families,
)
from promptreid.models.present_images import Slots, size_of, slots_of

MODALITY, INSTANCE = "modality", "instance"


def families_of(model: Any) -> tuple[str, ...]:
    """The prompts that a :class:`~promptreid.methods.mip.model.MIP` has."""
    parts = {MODALITY: model.modality_prompts, INSTANCE: model.instance_prompts}
    return tuple(name for name, part in parts.items() if part is not None)


def without(model: Any, families: Collection[str]) -> Any:
    """See :meth:`~promptreid.models.inspection.Inspectable.without`."""
    dropped = checked(model, families, families_of(model))
    other = copy.copy(model)
    other._modules = dict(model._modules)
    for name in dropped:
        other._modules[f"{name}_prompts"] = None
    return other


@torch.no_grad()
def image_features(model: Any, inputs: Tensor | Mapping[str, Tensor]) -> ImageFeatures:
    """See :meth:`~promptreid.models.inspection.Inspectable.image_features`: the parts of the descriptor."""
    slots = slots_of(inputs, model.modalities, model.images_per_sample)
    return ImageFeatures(slots.part(model.descriptor(inputs)), slots.modality, slots.samples)


@torch.no_grad()
def inspect(model: Any, inputs: Tensor | Mapping[str, Tensor], rows: str = "prompts") -> Inspection:
    """See :meth:`~promptreid.models.inspection.Inspectable.inspect`.

    The blocks of the trunk, then the one of the global head, whose class token alone the descriptor has; the local
    heads of JPM are left out. Prompts do not go on from block to block, so the model computes no queries of theirs:
    their rows say where they would look.

    Raises:
        ValueError: the model is in training mode.
    """
    if model.training:
        raise ValueError("inspect: the model is in training mode; call model.eval() first")
    slots = slots_of(inputs, model.modalities, model.images_per_sample)
    watch = _Watch(model, rows)
    remove = _listen(model, watch)
    try:
        tokens, generated = model._trunk(slots.images, slots.modality, slots.camera, watch)
    finally:
        remove()
    form = BlockForm(model.trunk.turns(size_of(slots.images), tokens.device))
    watch(model.feature_head.b1.block, tokens, [], 1, form)
    return Inspection(
        modalities=model.modalities,
        modality=slots.modality.cpu(),
        sample=slots.samples.cpu(),
        grid=model.trunk.grid_of(size_of(slots.images)),
        layers=watch.layers,
        readings=watch.readings,
        prompts=[*_modality_prompts(model), *_instance_prompts(model, generated, slots)],
    )


class _Watch:
    """A way to run blocks that keeps the attention of each."""

    def __init__(self, model: Any, rows: str) -> None:
        self.model, self.rows = model, rows
        self.layers: list[LayerAttention] = []
        self.readings: list[LayerAttention] = []

    def __call__(
        self, block: Any, tokens: Tensor, context: Sequence[Context], copies: int, form: BlockForm = PLAIN
    ) -> Tensor:
        parts = [part.expanded() for part in context]
        by_class = not isinstance(self.model.feature_head, PooledHead)
        lengths = {**image_families(self.model.trunk.prefix, tokens.shape[1], by_class), **self._lengths(parts)}
        weights = block_attention(block, torch.cat([tokens, *parts], dim=1), form)
        self.layers.append(LayerAttention.of(len(self.layers) + 1, lengths, {MODALITY, INSTANCE}, weights, self.rows))
        output: Tensor = self.model.apply_block(block, tokens, context, copies, form)
        return output

    def generate(self, generator: Any, inputs: tuple[Tensor, ...]) -> None:
        """Keep what the generator's queries look at among the patch tokens."""
        patches, turns = inputs
        shape = (len(patches), generator.length, generator.dim)
        queries = patches.new_zeros(shape) if generator.queries is None else generator.queries.expand(shape)
        form = PLAIN if turns is None else BlockForm(behind(generator.length, turns))
        weights = block_attention(generator.block, torch.cat([queries, patches], dim=1), form)
        lengths = {INSTANCE: generator.length, PATCHES: patches.shape[1]}
        self.readings.append(LayerAttention.of(len(self.readings) + 1, lengths, {INSTANCE}, weights))

    def _lengths(self, parts: Sequence[Tensor]) -> dict[str, int]:
        names = [MODALITY] if self.model.modality_prompts is not None else []
        names += [INSTANCE] if self.model.instance_prompts is not None else []
        # The last of the prompted blocks may have modality prompts alone, and the head has none.
        return {name: part.shape[1] for name, part in zip(names, parts, strict=False)}


def _listen(model: Any, watch: _Watch) -> Any:
    if not isinstance(model.instance_prompts, InstancePromptGenerator):
        return lambda: None
    return model.instance_prompts.register_forward_pre_hook(watch.generate).remove


def _modality_prompts(model: Any) -> list[PromptSet]:
    """As the blocks see them."""
    if model.modality_prompts is None:
        return []
    names = [""] if model.options.naive_prompts else list(model.modalities)
    device = next(model.parameters()).device
    layers = [part.expanded().float().cpu() for part in model._chosen(torch.arange(len(names), device=device))]
    return [
        PromptSet(MODALITY, layer, name, prompts[row])
        for row, name in enumerate(names)
        for layer, prompts in enumerate(layers, start=1)
    ]


def _instance_prompts(model: Any, generated: Sequence[Context], slots: Slots) -> list[PromptSet]:
    """Means over the images of each modality that is there."""
    found = []
    for number, name in enumerate(model.modalities):
        rows = slots.modality == number
        for layer, prompts in enumerate(generated, start=1) if bool(rows.any()) else ():
            mean = prompts.expanded()[rows].float().mean(dim=0).cpu()
            found.append(PromptSet(INSTANCE, layer, name, mean))
    return found
