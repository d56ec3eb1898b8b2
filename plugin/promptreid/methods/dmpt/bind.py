"""PromptIBind: what one modality learns from the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.present_images import Slots


class CrossAttention(nn.Module):
    """The weights of a cross-attention: W_Q, W_K, W_V, W_O and two norms.

    W_O and its bias start at zero, so that training starts without any exchange; the others are Xavier, biases 0.

    Args:
        dim: D.
        heads: The tower's.

    Raises:
        ValueError: D is no multiple of the heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"a width of {dim} does not split into {heads} heads")
        self.heads = heads
        self.norm_prompts, self.norm_sources = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query, self.key, self.value, self.output = (nn.Linear(dim, dim) for _ in range(4))
        for layer in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def _split(self, tokens: Tensor) -> Tensor:
        """(B, k, D) by heads, (B, h, k, d)."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class BindAttention(CrossAttention):
    """The cross-attention of one interaction layer, shared by the modalities.

    B2: ``Q = LN(B) W_Q``, ``K^o = LN(S^o) W_K``, ``V^o = LN(S^o) W_V`` for the other modalities o of the same sample;
    B3: ``B^m = B + softmax(Q [K^o ..]^T / sqrt(d_h)) [V^o ..] W_O``.

    Args:
        dim: D.
        heads: The tower's.
        keys: Modalities o are the ``others``, or ``all`` of the sample.

    Raises:
        ValueError: D is no multiple of the heads.
    """

    def __init__(self, dim: int, heads: int, keys: str = "others") -> None:
        super().__init__(dim, heads)
        self.all = keys == "all"

    def forward(self, prompts: Tensor, sources: Tensor, slots: Slots) -> Tensor:
        """Bind prompts of every present image.

        All targets are computed from the same sources, at once (B4: synchronously). An image whose sample has no
        other gets the prompts as they are, unless it reads itself; a missing image is no source.

        Args:
            prompts: B, (b, D), or of each present image, (n, b, D).
            sources: What is read, S_l, of each present image: (n, s, D).
            slots: Where the images stand.

        Returns:
            Shape (n, b, D).
        """
        own = prompts.expand(sources.shape[0], -1, -1)
        if slots.present.shape[1] == 1 and not self.all:
            return own
        query = self.query(self.norm_prompts(prompts))
        query = self._split(query[None] if query.ndim == 2 else _every_slot(query, slots).flatten(0, 1))
        sources = self.norm_sources(sources.to(self.norm_sources.weight.dtype))
        key, value = (self._read(layer(sources), slots) for layer in (self.key, self.value))
        mask, alone = self._mask(slots, sources.shape[1])
        query = query.expand(key.shape[0], -1, -1, -1)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        learned = self.output(mixed.transpose(1, 2).flatten(2))
        if alone is not None:
            learned = learned.masked_fill(alone[:, None, None], 0.0)
        joined = learned.reshape(slots.present.shape[0], -1)
        return own + slots.part(joined).unflatten(1, own.shape[1:])

    def _read(self, tokens: Tensor, slots: Slots) -> Tensor:
        """For each slot the tokens (n, s, D) of the k slots that it reads: (B M, h, k s, d)."""
        return self._split(self._sources(_every_slot(tokens, slots)).flatten(2, 3).flatten(0, 1))

    def _sources(self, values: Tensor) -> Tensor:
        """For each slot, the values (B, M, ...) of the k slots that it reads: (B, M, k, ...)."""
        return values[:, None].expand(-1, values.shape[1], *values.shape[1:]) if self.all else _others(values)

    def _mask(self, slots: Slots, length: int) -> tuple[Tensor | None, Tensor | None]:
        """Which of these tokens are there, (B M, 1, 1, k s), and which slots have nothing to read, (B M,)."""
        if slots.complete:
            return None, None
        there = self._sources(slots.present).flatten(0, 1)
        alone = ~there.any(dim=1)
        # Softmax over nothing is not a number: those who are alone look at the zeros, and what they see is dropped.
        there = (there | alone[:, None]).repeat_interleave(length, dim=1)
        return there[:, None, None], alone


def _every_slot(tokens: Tensor, slots: Slots) -> Tensor:
    """Tokens (n, s, D) of the images at the places of all slots, zeros where there is no image: (B, M, s, D)."""
    return slots.join(tokens.flatten(1)).unflatten(1, (-1, *tokens.shape[1:]))


def _others(values: Tensor) -> Tensor:
    """For each slot, the values of the other slots: (B, M, ...) to (B, M, M - 1, ...)."""
    slots = range(values.shape[1])
    return torch.stack([torch.cat([values[:, :slot], values[:, slot + 1 :]], dim=1) for slot in slots], dim=1)


class AnswerAttention(CrossAttention):
    """Prompts of an image ask its bind prompts: the second half of an exchange through a medium."""

    def forward(self, prompts: Tensor, bound: Tensor) -> Tensor:
        """What is added to prompts (n, s, D), from bind prompts (n, b, D): (n, s, D)."""
        query = self._split(self.query(self.norm_prompts(prompts.to(self.norm_prompts.weight.dtype))))
        sources = self.norm_sources(bound.to(self.norm_sources.weight.dtype))
        key, value = (self._split(layer(sources)) for layer in (self.key, self.value))
        mixed = F.scaled_dot_product_attention(query, key, value)
        told: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return told


class PromptIBind(nn.Module):
    """B1 to B5: bind prompts B, shared by modalities and layers, filled with what the other modalities found.

    After each interaction layer l, ``B_l^m = B + Attention_l(B, S_l^o, o != m)``. What becomes of B_l^m is the
    model's choice; :class:`~promptreid.methods.dmpt.options.DMPTOptions` has that and the other readings.

    As a medium, B_l^m is asked by the prompts X^m that were read: ``softmax(LN(X^m) W_Q (LN(B_l^m) W_K)^T / sqrt(d_h))
    LN(B_l^m) W_V W_O``, with another attention's weights, is added to X^m in the next block.

    Args:
        layers: The interaction layers, counted from 1; each has attention weights of its own.
        length: How many bind prompts.
        dim: D.
        heads: The tower's.
        std: Of the initialisation of B.
        keys: Bind prompts read the ``others``, or ``all`` modalities.
        medium: Whether prompts ask them.
        residual: Whether an interaction adds to B of the one before.
    """

    learning_rate_roles: ClassVar = {"prompts": "prompts"}

    prompt_family = "bind"

    def __init__(
        self,
        layers: Sequence[int],
        length: int,
        dim: int,
        heads: int,
        std: float = 0.02,
        keys: str = "others",
        medium: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.empty(length, dim))
        nn.init.normal_(self.prompts, std=std)
        self.layers = tuple(layers)
        self.residual = residual
        self.attentions = nn.ModuleList(BindAttention(dim, heads, keys) for _ in self.layers)
        self.answers = nn.ModuleList(AnswerAttention(dim, heads) for _ in self.layers) if medium else None

    def forward(self, layer: int, sources: Tensor, slots: Slots, before: Tensor | None = None) -> Tensor:
        """B_l^m after interaction layer ``layer``.

        Args:
            layer: Counted from 1.
            sources: What each present image offers, (n, s, D).
            slots: Where the images stand.
            before: What the interaction before gave, (n, length, D).

        Returns:
            Shape (n, length, D).
        """
        attention: nn.Module = self.attentions[self.layers.index(layer)]
        prompts = before if before is not None and self.residual else self.prompts
        bound: Tensor = attention(prompts, sources, slots)
        return bound

    def answer(self, layer: int, prompts: Tensor, bound: Tensor) -> Tensor:
        """What prompts (n, s, D) are told by B_l^m (n, length, D), as a medium: (n, s, D)."""
        assert self.answers is not None
        told: Tensor = self.answers[self.layers.index(layer)](prompts, bound)
        return told
