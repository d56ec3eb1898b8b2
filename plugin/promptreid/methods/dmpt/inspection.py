"""Looking into a DMPT: where its tokens look, what modalities read of one another, and what it does without prompts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from promptreid.models.inspection import (
    CLASS,
    PATCHES,
    Exchange,
    ImageFeatures,
    Inspection,
    LayerAttention,
    PromptSet,
    checked,
)
from promptreid.models.present_images import Slots, size_of, slots_of

SEMANTIC, WORDS, BIND = "semantic", "words", "bind"
PARTS = {SEMANTIC: "semantic_prompts", WORDS: "word_prompts", BIND: "bind"}


def families_of(model: Any) -> tuple[str, ...]:
    """The prompts that a :class:`~promptreid.methods.dmpt.model.DMPT` has."""
    return tuple(name for name, part in PARTS.items() if getattr(model, part) is not None)


def without(model: Any, families: Collection[str]) -> Any:
    """See :meth:`~promptreid.models.inspection.Inspectable.without`.

    The bind goes, too, where nothing is left that it could read or be added to.
    """
    dropped = checked(model, families, families_of(model))
    options = model.options
    source = options.bind_source
    if source == "both" and dropped & {SEMANTIC, WORDS}:
        source = "modality" if SEMANTIC in dropped else "semantic"
    needed = {SEMANTIC if source == "semantic" else WORDS} | (
        {SEMANTIC} if options.bind_output == "semantic" else set()
    )
    if needed & dropped and model.bind is not None:
        dropped |= {BIND}
    other = copy.copy(model)
    other._modules = {**model._modules, **{PARTS[name]: None for name in dropped}}
    changes = dict.fromkeys(dropped, False)
    if BIND in dropped:
        changes["interaction_layers"] = None  # type: ignore[assignment]
        other.plan = model.plan._replace(interactions=())
    other.options = replace(options, bind_source=source, **changes)
    return other


@torch.no_grad()
def image_features(model: Any, inputs: Tensor | Mapping[str, Tensor]) -> ImageFeatures:
    """See :meth:`~promptreid.models.inspection.Inspectable.image_features`: f^m (F1), before the BNNecks."""
    slots = slots_of(inputs, model.modalities, model.images_per_sample)
    return ImageFeatures(model.features(slots)[0], slots.modality, slots.samples)


@torch.no_grad()
def inspect(model: Any, inputs: Tensor | Mapping[str, Tensor], rows: str = "prompts") -> Inspection:
    """See :meth:`~promptreid.models.inspection.Inspectable.inspect`.

    Raises:
        ValueError: the model is in training mode.
    """
    if model.training:
        raise ValueError("inspect: the model is in training mode; call model.eval() first")
    slots = slots_of(inputs, model.modalities, model.images_per_sample)
    grid = model.tower.grid_of(size_of(slots.images))
    layers: list[LayerAttention] = []

    def keep(layer: int, tokens: Tensor) -> None:
        lengths = lengths_of(model, layer, tokens.shape[1], 1 + grid[0] * grid[1])
        weights = model.tower.attention(layer - 1, tokens)
        layers.append(LayerAttention.of(layer, lengths, _fresh(model, layer), weights, rows))

    exchanges, bound = watched_pass(model, slots, keep)
    return Inspection(
        modalities=model.modalities,
        modality=slots.modality.cpu(),
        sample=slots.samples.cpu(),
        grid=grid,
        layers=layers,
        exchanges=exchanges,
        prompts=_prompt_sets(model, bound, slots),
    )


def watched_pass(
    model: Any, slots: Slots, keep: Callable[[int, Tensor], object]
) -> tuple[list[Exchange], list[Tensor]]:
    """One pass through the blocks, from the first: what the bind reads, and its prompts after each interaction.

    Args:
        model: in evaluation mode.
        slots: the images.
        keep: is given the number of each block, from 1, and the tokens before it, (n, K, D).
    """
    exchanges: list[Exchange] = []
    hooks = []
    for layer, attention in zip(
        model.plan.interactions, () if model.bind is None else model.bind.attentions, strict=False
    ):
        hooks.append(attention.register_forward_pre_hook(partial(_keep_exchange, exchanges, layer)))

    def apply(layer: int, tokens: Tensor, reads: int | None = None) -> Tensor:
        keep(layer + 1, tokens)
        output: Tensor = model.tower.run(layer, tokens, reads)
        return output

    side = None if model.sie is None else model.sie(slots.camera)
    try:
        bound = model._encode(model.tower.embed(slots.images, side), 0, slots, apply=apply)[1]
    finally:
        for hook in hooks:
            hook.remove()
    return exchanges, bound


def lengths_of(model: Any, layer: int, tokens: int, base: int) -> dict[str, int]:
    """How many tokens of each family a block gets, in their order; ``base`` are the class token and the patches."""
    lengths = {CLASS: 1, PATCHES: base - 1}
    plan, options = model.plan, model.options
    if not plan.first <= layer <= plan.last:
        return lengths
    if model.word_prompts is not None:
        lengths[WORDS] = options.word_length
    if options.bind_output == "tokens" and any(other < layer for other in plan.interactions):
        lengths[BIND] = options.bind_length
    rest = tokens - sum(lengths.values())
    return {**lengths, SEMANTIC: rest} if rest else lengths


def _fresh(model: Any, layer: int) -> set[str]:
    """The families that are no outputs of the block before."""
    first = layer == model.plan.first
    fresh = {WORDS} if first else set()
    fresh |= {BIND} if layer - 1 in model.plan.interactions else set()
    return fresh | ({SEMANTIC} if first or model.options.deep else set())


def _keep_exchange(exchanges: list[Exchange], layer: int, attention: Any, inputs: tuple[Any, ...]) -> None:
    exchanges.append(Exchange(layer, bind_probabilities(attention, *inputs).cpu()))


def bind_probabilities(attention: Any, prompts: Tensor, sources: Tensor, slots: Slots) -> Tensor:
    """The attention of B3, written out: see :class:`~promptreid.models.inspection.Exchange`.

    Args:
        attention: a :class:`~promptreid.methods.dmpt.bind.BindAttention`.
        prompts: B, (b, D).
        sources: what each present image offers, (n, s, D).
        slots: where the images stand.
    """
    samples, count = slots.present.shape
    query = attention._split(attention.query(attention.norm_prompts(prompts))[None])[0]  # (h, b, d)
    keys = attention.key(attention.norm_sources(sources.to(attention.norm_sources.weight.dtype)))
    spread = slots.join(keys.flatten(1)).reshape(samples * count, *keys.shape[1:])
    key = attention._split(spread).unflatten(0, (samples, count))  # (B, M, h, s, d)
    scores = torch.einsum("hbd,zohsd->zhbos", query.float(), key.float()) * query.shape[-1] ** -0.5
    others = ~torch.eye(count, dtype=torch.bool, device=scores.device) & slots.present[:, None]  # (B, M, M)
    mask = others[:, :, None, None, :, None]
    scores = scores[:, None].masked_fill(~mask, -torch.inf)  # (B, M, h, b, M, s)
    weights = scores.flatten(-2).softmax(dim=-1).unflatten(-1, scores.shape[-2:])
    return weights.nan_to_num(0.0) * slots.present[:, :, None, None, None, None]


def _prompt_sets(model: Any, bound: list[Tensor], slots: Slots) -> list[PromptSet]:
    first, found = model.plan.first, []
    if model.semantic_prompts is not None:
        sets = model.semantic_prompts.prompts.detach().float().cpu().clone()
        found += [PromptSet(SEMANTIC, first + number, "", vectors) for number, vectors in enumerate(sets)]
    if model.word_prompts is not None:
        every = torch.arange(len(model.modalities), device=slots.modality.device)
        words = model.word_prompts(every).float().cpu()
        found += [PromptSet(WORDS, first, name, words[row]) for row, name in enumerate(model.modalities)]
    for layer, prompts in zip(model.plan.interactions, bound, strict=True):
        for number, name in enumerate(model.modalities):
            rows = slots.modality == number
            if bool(rows.any()):
                found.append(PromptSet(BIND, layer + 1, name, prompts[rows].float().mean(dim=0).cpu()))
    return found
