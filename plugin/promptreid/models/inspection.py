"""What a model says of itself when asked: where its tokens look, what its prompts are, and what it can spare."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASS, REGISTERS, PATCHES = IMAGE = "class", "registers", "patches"
"""Families of tokens that a ViT has, registers only some; the others are its prompts."""


def image_families(prefix: int, count: int, by_class: bool = True) -> dict[str, int]:
    """The lengths of the families among ``count`` tokens of an image, in their order.

    Args:
        prefix: P, tokens before the patches.
        count: P + N.
        by_class: Whether the first is a class token, from which the feature is read.

    Raises:
        ValueError: It is not, and where that token looks is what an inspection is about.
    """
    if not by_class:
        raise ValueError(
            "this tower's feature is not read from a class token, and an inspection shows where the class token looks; "
            "choose a tower where it is, such as vit_base_patch16_dinov3 (docs/towers.md)"
        )
    registers = {REGISTERS: prefix - 1} if prefix > 1 else {}
    return {CLASS: 1, **registers, PATCHES: count - prefix}


def image_tokens(lengths: Mapping[str, int]) -> int:
    """How many of the tokens are the image's own, of the lengths of all families; they stand first."""
    return sum(lengths.get(family, 0) for family in IMAGE)


ROWS = ("prompts", "all")
"""Whose attention is kept: the class token's and the prompts', or every token's."""


@dataclass(frozen=True, eq=False)
class LayerAttention:
    """Where the tokens of one block look.

    Attributes:
        layer: number of the block, from 1.
        families: names of the tokens, in the order of the keys, and where each family begins and ends.
        fresh: families that enter here: they are not outputs of the block before.
        rows: (q,) int64, the tokens whose attention is kept.
        weights: (n, heads, q, K) float32 of n images; each row sums to 1.
    """

    layer: int
    families: Mapping[str, tuple[int, int]]
    fresh: frozenset[str]
    rows: Tensor
    weights: Tensor

    @classmethod
    def of(
        cls, layer: int, families: Mapping[str, int], fresh: Collection[str], weights: Tensor, rows: str = ROWS[0]
    ) -> LayerAttention:
        """From all rows, (n, heads, K, K), and the lengths of the families in their order.

        Raises:
            ValueError: ``rows`` is none of :data:`ROWS`.
        """
        if rows not in ROWS:
            raise ValueError(f"rows: {rows!r} is not one of {ROWS}")
        places: dict[str, tuple[int, int]] = {}
        for name, length in families.items():
            start = max((stop for _, stop in places.values()), default=0)
            places[name] = (start, start + length)
        kept = [at for name, place in places.items() if rows == "all" or name != PATCHES for at in range(*place)]
        index = torch.tensor(kept, device=weights.device)
        return cls(layer, places, frozenset(fresh), index.cpu(), weights[:, :, index].cpu())

    def by(self, family: str) -> Tensor:
        """The rows of a family's tokens, (n, heads, length, K).

        Raises:
            ValueError: the block has no such tokens, or their rows were not kept.
        """
        start, stop = self._place(family)
        wanted = (self.rows >= start) & (self.rows < stop)
        if int(wanted.sum()) != stop - start:
            raise ValueError(f"{family}: these rows were not kept; inspect with rows='all'")
        return self.weights[:, :, wanted]

    def on(self, family: str) -> slice:
        """Where a family stands among the keys."""
        return slice(*self._place(family))

    def _place(self, family: str) -> tuple[int, int]:
        if family not in self.families:
            raise ValueError(f"{family}: block {self.layer} has no such tokens; it has {', '.join(self.families)}")
        return self.families[family]


class Exchange(NamedTuple):
    """What the modalities of a sample read of one another after a block.

    Attributes:
        layer: number of the block, from 1.
        weights: (B, M, heads, b, M, s): prompt b of target slot m on token s of source slot o. Zero on the diagonal and
            for missing images; the last two axes sum to 1, or to 0 for an image that is alone.
    """

    layer: int
    weights: Tensor


class PromptSet(NamedTuple):
    """Prompts that enter a block together.

    Attributes:
        family: their kind.
        layer: the block that they enter, from 1.
        modality: whose they are; empty where all modalities share them.
        vectors: (length, D) float32. Prompts that depend on the image are means over the inspected ones.
    """

    family: str
    layer: int
    modality: str
    vectors: Tensor

    @property
    def norms(self) -> Tensor:
        """Euclidean lengths, (length,)."""
        return self.vectors.norm(dim=-1)

    @property
    def cosines(self) -> Tensor:
        """Between any two, (length, length)."""
        return F.cosine_similarity(self.vectors[:, None], self.vectors[None], dim=-1)

    @property
    def copies(self) -> list[list[int]]:
        """Groups of prompts that are the same bit by bit, numbers from 0; empty where all differ."""
        groups: dict[bytes, list[int]] = {}
        for number, vector in enumerate(self.vectors.cpu().contiguous()):
            groups.setdefault(vector.numpy().tobytes(), []).append(number)
        return [group for group in groups.values() if len(group) > 1]


@dataclass(frozen=True, eq=False)
class Inspection:
    """What a model did with a batch of B samples, n images of which are present.

    Attributes:
        modalities: names of the model's modalities.
        modality: (n,) int64, of each image, an index into these.
        sample: (n,) int64, the sample that each image belongs to.
        grid: rows and columns of patches.
        layers: attention of each block on the way to the descriptor, first to last.
        readings: attention by which prompts are made from the image, of each prompted block; families are the prompts'
            and :data:`PATCHES`. Empty where none are.
        exchanges: what modalities read of one another; empty where they do not.
        prompts: the prompts themselves.
    """

    modalities: tuple[str, ...]
    modality: Tensor
    sample: Tensor
    grid: tuple[int, int]
    layers: Sequence[LayerAttention]
    readings: Sequence[LayerAttention] = ()
    exchanges: Sequence[Exchange] = ()
    prompts: Sequence[PromptSet] = field(default_factory=list)

    @property
    def families(self) -> tuple[str, ...]:
        """All families of tokens, in the order of their first block."""
        return tuple(dict.fromkeys(name for layer in self.layers for name in layer.families))

    def mass(self) -> dict[str, Tensor]:
        """How much of the class token's attention goes to each family: (layers, n), in [0, 1], mean over the heads.

        At any block and image, the families' values sum to 1; a family that a block lacks has 0 there.
        """
        found = {name: torch.zeros(len(self.layers), len(self.modality)) for name in self.families}
        for number, layer in enumerate(self.layers):
            row = layer.by(CLASS)[:, :, 0].mean(dim=1)
            for name in layer.families:
                found[name][number] = row[:, layer.on(name)].sum(dim=1)
        return found

    def maps(self, family: str, layer: int) -> Tensor:
        """What the tokens of a family look at in the image at a block (from 1): (n, length, rows, columns).

        Mean over the heads. A row sums to what the patches get of the attention, at most 1.

        Raises:
            ValueError: no such block, or it has no such tokens.
        """
        numbers = [each.layer for each in self.layers]
        if layer not in numbers:
            raise ValueError(f"layer {layer}: the model has blocks {numbers[0]} to {numbers[-1]}")
        chosen = self.layers[numbers.index(layer)]
        return chosen.by(family).mean(dim=1)[..., chosen.on(PATCHES)].unflatten(-1, self.grid)


class ImageFeatures(NamedTuple):
    """Features of single images, not normalised.

    Attributes:
        features: (n, D) float32.
        modality: (n,) int64.
        sample: (n,) int64, the sample of the batch that each belongs to.
    """

    features: Tensor
    modality: Tensor
    sample: Tensor


@runtime_checkable
class Inspectable(Protocol):
    """A model that can be looked into: a ViT, with or without prompts. Inputs are those of its ``forward``."""

    @property
    def prompt_families(self) -> tuple[str, ...]:
        """Names of the prompts that it has, each of which it can do without; empty for none."""
        ...

    def inspect(self, inputs: Any, rows: str = ROWS[0]) -> Inspection:
        """Attention and prompts, in evaluation mode and without gradients; slow, and changes nothing."""
        ...

    def without(self, families: Collection[str]) -> nn.Module:
        """The same weights without some prompts; the model itself stays as it is."""
        ...

    def image_features(self, inputs: Any) -> ImageFeatures:
        """The features of the batch's images, one by one, before a sample's are joined."""
        ...


def rollout(inspection: Inspection) -> Tensor:
    """Attention rollout of the class token: how much of each patch arrives in it through all blocks.

    With A_l the attention of block l, mean over its heads, ``R_l = (A_l + I) / 2 R_{l-1}`` and R_0 = I on the class and
    patch tokens. A prompt that enters at block l brings no patch along, so its row of R_{l-1} is zero; one that is
    carried on has the row that it had. What remains of the class token's row, 1 minus its sum, came through prompts.

    Args:
        inspection: with all rows.

    Returns:
        Shape (n, rows, columns), >= 0; a sum is at most 1.

    Raises:
        ValueError: the inspection lacks rows.

    References:
        Abnar and Zuidema, Quantifying Attention Flow in Transformers, ACL 2020.
    """
    flow: dict[str, Tensor] = {}
    patches = inspection.grid[0] * inspection.grid[1]
    start = torch.eye(1 + patches).expand(len(inspection.modality), -1, -1)
    flow = {CLASS: start[:, :1], PATCHES: start[:, 1:]}
    for layer in inspection.layers:
        before = torch.cat([_rows(flow, name, layer, start) for name in layer.families], dim=1)
        every = torch.cat([layer.by(name) for name in layer.families], dim=2).mean(dim=1)
        after = (every @ before + before) / 2
        flow = {name: after[:, layer.on(name)] for name in layer.families}
    return flow[CLASS][:, 0, 1:].unflatten(-1, inspection.grid)


def _rows(flow: Mapping[str, Tensor], name: str, layer: LayerAttention, like: Tensor) -> Tensor:
    """What a family's tokens hold of the image before a block, (n, length, 1 + N)."""
    if name in layer.fresh or name not in flow:
        place = layer.on(name)
        return like.new_zeros(like.shape[0], place.stop - place.start, like.shape[2])
    return flow[name]


def checked(model: nn.Module, families: Collection[str], known: Sequence[str]) -> set[str]:
    """The families as a set, for :meth:`Inspectable.without`.

    Raises:
        ValueError: one that the model lacks.
    """
    unknown = sorted(set(families) - set(known))
    if unknown:
        has = f"it has {', '.join(known)}" if known else "it has no prompts"
        raise ValueError(f"{type(model).__name__} has no {unknown[0]!r} prompts; {has}")
    return set(families)
