"""Modality prompts of DMPT: mapped from words, or free."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from promptreid.methods.dmpt.words import TextConstant
from promptreid.models.embedding_rows import rows_of


def _mapping(inner: int, outer: int, kind: str) -> nn.Sequential:
    layers = (
        [nn.Linear(inner, inner), nn.GELU(), nn.Linear(inner, outer)] if kind == "mlp" else [nn.Linear(inner, outer)]
    )
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


class WordPrompts(nn.Module):
    """P1, modality prompts from attribute words: ``M_p^m = P(a^m)``, M vectors of the visual width.

    a^m is what :func:`word_constants` takes from the frozen text tower; P is trained. The paper calls P a mapping
    *network*, so it has a hidden layer by default (d_t -> d_t -> D, GELU, Xavier, biases 0); ``linear`` is the
    alternative. With the network DMPT trains 5.47 M parameters on ViT-B/16, and 5.73 M with identity heads for 171
    people; both are within 5 % of the 6.5 % of 86.19 M that the abstract states (5.60 M). With the linear map it is
    5.20 M.

    Args:
        constant: a^m, (modalities, M, d) or, where one vector serves all M prompts, (modalities, 1, d).
        length: M.
        dim: D.
        mapping: ``mlp`` or ``linear``.
        std: Standard deviation that each prompt is scaled to; 0 leaves it as P gives it.
        offset_std: Of the initialisation of vectors, one per slot, that are added to a^m; None for no such vectors.
    """

    prompt_family = "words"
    learning_rate_roles: ClassVar = {"offsets": "prompts"}

    def __init__(
        self,
        constant: TextConstant,
        length: int,
        dim: int,
        mapping: str = "mlp",
        std: float = 0.0,
        offset_std: float | None = None,
    ) -> None:
        super().__init__()
        self.attributes = constant
        self.length, self.std = length, std
        count, inner = constant.value.shape[-2:]
        self.mapping: nn.Module = _mapping(inner, dim * length // count, mapping)
        self.register_parameter("offsets", None)
        if offset_std is not None:
            self.offsets = nn.Parameter(torch.empty(count, inner))
            nn.init.normal_(self.offsets, std=offset_std)

    def forward(self, modality: Tensor, number: int = 0) -> Tensor:
        """Prompts of modality (n,): (n, M, D).

        Args:
            modality: Ids.
            number: Of the block that they enter, from 0 at the first with modality prompts.
        """
        return rows_of(self._prompts(number), modality)

    def folded(self) -> nn.Module:
        """The prompts as they are after the mapping, without the text's numbers and the network behind them."""
        prompts = self._prompts()
        modalities, length, dim = prompts.shape
        table = FreeModalityPrompts(modalities, length, dim)
        table.prompts = nn.Parameter(prompts.detach().clone(), requires_grad=False)
        return table

    def _prompts(self, number: int = 0) -> Tensor:
        """Of every modality, (modalities, M, D)."""
        words = self._words(number)
        prompts = self._mapped(words if self.offsets is None else words + self.offsets, number)
        prompts = prompts.flatten(1).unflatten(1, (self.length, -1))
        return prompts * (self.std / prompts.std(dim=-1, keepdim=True, correction=0)) if self.std else prompts

    def _words(self, number: int) -> Tensor:
        words: Tensor = self.attributes()
        return words

    def _mapped(self, words: Tensor, number: int) -> Tensor:
        prompts: Tensor = self.mapping(words)
        return prompts


class BlockWordPrompts(WordPrompts):
    """Modality prompts of each block's own, ``M_{l-1}^m = P_l(a^m)``, or ``P_l(W_{l-1}^m)`` from the states of the
    text.

    Args:
        constant: a^m as in :class:`WordPrompts`, or W^m, (modalities, blocks, M, d).
        blocks: How many blocks have them.
        length: M.
        dim: D.
        mapping: ``mlp`` or ``linear``.
        maps: P_l is one P that is ``shared``, one for ``each`` block, or ``low_rank``, P_l(a) = P(a) + U_l V_l a, U_l
            zero at the start.
        rank: Of U_l V_l.
        std: As there.
        offset_std: As there.

    References:
        Khattak et al., MaPLe: Multi-modal Prompt Learning, CVPR 2023, which maps text prompts to image prompts in each
        of the first blocks, each with a map of its own.
    """

    def __init__(
        self,
        constant: TextConstant,
        blocks: int,
        length: int,
        dim: int,
        mapping: str = "mlp",
        maps: str = "shared",
        rank: int = 8,
        std: float = 0.0,
        offset_std: float | None = None,
    ) -> None:
        super().__init__(constant, length, dim, mapping, std, offset_std)
        self.blocks = blocks
        count, inner = constant.value.shape[-2:]
        outer = dim * length // count
        self.changes: nn.ModuleList | None = None
        if maps == "each":
            self.mapping = nn.ModuleList([self.mapping, *(_mapping(inner, outer, mapping) for _ in range(blocks - 1))])
        elif maps == "low_rank":
            self.changes = nn.ModuleList(_low_rank(inner, outer, rank) for _ in range(blocks))

    def folded(self) -> nn.Module:
        """The prompts of all blocks as they are after the mapping."""
        prompts = torch.stack([self._prompts(number) for number in range(self.blocks)])
        table = FreeBlockPrompts(*prompts.shape)
        table.prompts = nn.Parameter(prompts.detach().clone(), requires_grad=False)
        return table

    def _words(self, number: int) -> Tensor:
        words: Tensor = self.attributes()
        return words[:, number] if words.ndim == 4 else words

    def _mapped(self, words: Tensor, number: int) -> Tensor:
        mapping = self.mapping[number] if isinstance(self.mapping, nn.ModuleList) else self.mapping
        prompts: Tensor = mapping(words)
        return prompts if self.changes is None else prompts + self.changes[number](words)


def _low_rank(inner: int, outer: int, rank: int) -> nn.Sequential:
    down, up = nn.Linear(inner, rank, bias=False), nn.Linear(rank, outer, bias=False)
    nn.init.xavier_uniform_(down.weight)
    nn.init.zeros_(up.weight)
    return nn.Sequential(down, up)


class FreeModalityPrompts(nn.Module):
    """Modality prompts without words: M free vectors per modality, initialised N(0, std). An ablation of the prior.

    Args:
        modalities: How many.
        length: M.
        dim: D.
        std: Of the initialisation.
    """

    learning_rate_roles: ClassVar = {"prompts": "prompts"}

    prompt_family = "words"

    def __init__(self, modalities: int, length: int, dim: int, std: float = 0.02) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.empty(modalities, length, dim))
        nn.init.normal_(self.prompts, std=std)

    def forward(self, modality: Tensor, number: int = 0) -> Tensor:
        """Prompts of modality (n,): (n, M, D)."""
        return rows_of(self.prompts, modality)


class FreeBlockPrompts(nn.Module):
    """The same with M vectors per modality and block.

    Args:
        blocks: How many.
        modalities: How many.
        length: M.
        dim: D.
        std: Of the initialisation.
    """

    learning_rate_roles: ClassVar = {"prompts": "prompts"}

    prompt_family = "words"

    def __init__(self, blocks: int, modalities: int, length: int, dim: int, std: float = 0.02) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.empty(blocks, modalities, length, dim))
        nn.init.normal_(self.prompts, std=std)

    def forward(self, modality: Tensor, number: int = 0) -> Tensor:
        """Prompts of modality (n,) for block ``number``: (n, M, D)."""
        return rows_of(self.prompts[number], modality)
