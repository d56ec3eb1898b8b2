"""Looking into a DMPT: where its tokens look, what modalities read of one another, and what it does without prompts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from promptreid.methods.dmpt.encoder import BIND, SEMANTIC, WORDS
from promptreid.models.inspection import (
    Exchange,
    ImageFeatures,
    Inspection,
    LayerAttention,
    PromptSet,
    checked,
    image_families,
    image_tokens,
)
from promptreid.models.present_images import Slots, size_of, slots_of

PARTS = {SEMANTIC: "semantic_prompts", WORDS: "word_prompts", BIND: "bind"}


def families_of(model: Any) -> tuple[str, ...]:
    """The prompts that a :class:`~promptreid.methods.dmpt.model.DMPT` has."""
    return tuple(name for name, part in PARTS.items() if getattr(model, part) is not None)


def without(model: Any, families: Collection[str]) -> Any:
    """See :meth:`~promptreid.models.inspection.Inspectable.without`.

    What is left without anything to act on goes, too: modality prompts that are added to semantic ones, and the bind
    where it could read nothing, or be added to nothing.
    """
    dropped = checked(model, families, families_of(model))
    options = model.options
    if SEMANTIC in dropped and WORDS in families_of(model) and not options.word_tokens:
        dropped |= {WORDS}
    source = options.bind_source
    if source == "both" and dropped & {SEMANTIC, WORDS}:
        source = "modality" if SEMANTIC in dropped else "semantic"
    needed = {SEMANTIC if source == "semantic" else WORDS} | (
        {SEMANTIC} if options.bind_output == "semantic" else set()
    )
    if needed & dropped and model.bind is not None:
        dropped |= {BIND}
    other = copy.copy(model)
    gone = [PARTS[name] for name in dropped] + (["word_content", "word_gates"] if WORDS in dropped else [])
    other._modules = {**model._modules, **dict.fromkeys(gone)}
    if BIND in dropped:
        other.plan = model.plan._replace(interactions=())
    other.options = _options_without(options, dropped, source)
    return other


def _options_without(options: Any, dropped: Collection[str], source: str) -> Any:
    """The options without these families, and without what only means something with them."""
    defaults = {field.name: field.default for field in fields(options)}
    changes: dict[str, Any] = {"bind_source": source, "prompt_init": defaults["prompt_init"]}
    for family, prefix in ((WORDS, "word_"), (BIND, "bind_")):
        if family in dropped:
            changes |= {name: value for name, value in defaults.items() if name.startswith(prefix)}
    if WORDS in dropped:
        changes["alignment_on"] = defaults["alignment_on"]
    if BIND in dropped:
        changes["interaction_layers"] = None
    if not {SEMANTIC, WORDS} - {*dropped} or not (options.semantic or options.words):
        changes |= {name: defaults[name] for name in ("prompt_attention", "prompt_gates", "attention_temperature")}
    return replace(options, **{**changes, **dict.fromkeys(dropped, False)})


@torch.no_grad()
def image_features(model: Any, inputs: Tensor | Mapping[str, Tensor]) -> ImageFeatures:
    """See :meth:`~promptreid.models.inspection.Inspectable.image_features`: f^m (F1), before the BNNecks."""
    slots = slots_of(inputs, model.modalities, model.images_per_sample)
    return ImageFeatures(model.features(slots).features, slots.modality, slots.samples)


@torch.no_grad()
def inspect(model: Any, inputs: Tensor | Mapping[str, Tensor], rows: str = "prompts") -> Inspection:
    """See :meth:`~promptreid.models.inspection.Inspectable.inspect`.

    Raises:
        ValueError: the model is in training mode.
    """
    if model.training:
        raise ValueError("inspect: the model is in training mode; call model.eval() first")
    slots = slots_of(inputs, model.modalities, model.images_per_sample)
    turns = model.tower.turns(size_of(slots.images), slots.images.device)
    layers: list[LayerAttention] = []

    def keep(layer: int, tokens: Tensor, lengths: Mapping[str, int]) -> None:
        form = model.block_form(layer, image_tokens(lengths), slots, turns)
        weights = model.tower.attention(layer - 1, tokens, form)
        layers.append(LayerAttention.of(layer, dict(lengths), _fresh(model, layer), weights, rows))

    exchanges, bound = watched_pass(model, slots, keep)
    return Inspection(
        modalities=model.modalities,
        modality=slots.modality.cpu(),
        sample=slots.samples.cpu(),
        grid=model.tower.grid_of(size_of(slots.images)),
        layers=layers,
        exchanges=exchanges,
        prompts=_prompt_sets(model, bound, slots),
    )


def watched_pass(
    model: Any, slots: Slots, keep: Callable[[int, Tensor, Mapping[str, int]], object]
) -> tuple[list[Exchange], list[Tensor]]:
    """One pass through the blocks, from the first: what the bind reads, and its prompts after each interaction.

    Args:
        model: in evaluation mode.
        slots: the images.
        keep: is given the number of each block, from 1, the tokens before it, (n, K, D), and how many of these each
            family has, in their order.

    Raises:
        ValueError: prompts with a softmax or a temperature of their own, whose attention is not written out here.
    """
    for key, usual in (("prompt_attention", "joint"), ("attention_temperature", False)):
        if getattr(model.options, key) != usual:
            raise ValueError(f"dmpt.{key} is {getattr(model.options, key)!r}: attention of this form cannot be shown")
    exchanges: list[Exchange] = []
    hooks = []
    for layer, attention in zip(
        model.plan.interactions, () if model.bind is None else model.bind.attentions, strict=False
    ):
        hooks.append(attention.register_forward_pre_hook(partial(_keep_exchange, exchanges, layer)))

    def watch(layer: int, tokens: Tensor, prompts: Mapping[str, int]) -> None:
        own = tokens.shape[1] - sum(prompts.values())
        keep(layer, tokens, {**image_families(model.tower.prefix, own, not model.tower.reads_all), **prompts})

    side = None if model.sie is None else model.sie(slots.camera)
    try:
        bound = model.encode(model.tower.embed(slots.images, side), 0, slots, watch=watch).bound
    finally:
        for hook in hooks:
            hook.remove()
    return exchanges, bound


def _fresh(model: Any, layer: int) -> set[str]:
    """The families that are no outputs of the block before."""
    fresh = {WORDS} if layer == model.word_first or model.has_own_words(layer) else set()
    fresh |= {BIND} if layer - 1 in model.plan.interactions else set()
    return fresh | ({SEMANTIC} if layer == model.plan.first or model.options.deep else set())


def _keep_exchange(exchanges: list[Exchange], layer: int, attention: Any, inputs: tuple[Any, ...]) -> None:
    exchanges.append(Exchange(layer, bind_probabilities(attention, *inputs).cpu()))


def bind_probabilities(attention: Any, prompts: Tensor, sources: Tensor, slots: Slots) -> Tensor:
    """The attention of B3, written out: see :class:`~promptreid.models.inspection.Exchange`.

    Args:
        attention: a :class:`~promptreid.methods.dmpt.bind.BindAttention`.
        prompts: B, (b, D), or of each present image, (n, b, D).
        sources: what each present image offers, (n, s, D).
        slots: where the images stand.
    """
    count = slots.present.shape[1]
    queries = attention.query(attention.norm_prompts(prompts)).expand(len(sources), -1, -1)
    keys = attention.key(attention.norm_sources(sources.to(attention.norm_sources.weight.dtype)))
    query, key = (_by_slot(attention, tokens, slots) for tokens in (queries, keys))
    scores = torch.einsum("zmhbd,zohsd->zmhbos", query.float(), key.float()) * query.shape[-1] ** -0.5
    own = torch.eye(count, dtype=torch.bool, device=scores.device)
    read = (~own | attention.all) & slots.present[:, None]  # (B, M, M)
    scores = scores.masked_fill(~read[:, :, None, None, :, None], -torch.inf)  # (B, M, h, b, M, s)
    weights = scores.flatten(-2).softmax(dim=-1).unflatten(-1, scores.shape[-2:])
    return weights.nan_to_num(0.0) * slots.present[:, :, None, None, None, None]


def _by_slot(attention: Any, tokens: Tensor, slots: Slots) -> Tensor:
    """Tokens (n, k, D) of the images at the places of all slots, by heads: (B, M, h, k, d)."""
    samples, count = slots.present.shape
    spread = slots.join(tokens.flatten(1)).reshape(samples * count, *tokens.shape[1:])
    split: Tensor = attention._split(spread).unflatten(0, (samples, count))
    return split


def _prompt_sets(model: Any, bound: list[Tensor], slots: Slots) -> list[PromptSet]:
    first, found = model.plan.first, []
    if model.semantic_prompts is not None:
        sets = model.semantic_prompts.prompts.detach().float().cpu().clone()
        found += [PromptSet(SEMANTIC, first + number, "", vectors) for number, vectors in enumerate(sets)]
    if model.word_prompts is not None:
        every = torch.arange(len(model.modalities), device=slots.modality.device)
        for layer in range(model.word_first, model.plan.last + 1):
            if layer == model.word_first or model.has_own_words(layer):
                words = model.word_prompts(every, layer - model.word_first).float().cpu()
                found += [PromptSet(WORDS, layer, name, words[row]) for row, name in enumerate(model.modalities)]
    for layer, prompts in zip(model.plan.interactions, bound, strict=True):
        for number, name in enumerate(model.modalities):
            rows = slots.modality == number
            if bool(rows.any()):
                found.append(PromptSet(BIND, layer + 1, name, prompts[rows].float().mean(dim=0).cpu()))
    return found
