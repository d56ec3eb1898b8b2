"""PromptIBind: what one modality learns from the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.present_images import Slots


class BindAttention(nn.Module):
    """The cross-attention of one interaction layer, shared by the modalities.

    B2: ``Q = LN(B) W_Q``, ``K^o = LN(S^o) W_K``, ``V^o = LN(S^o) W_V`` for the other modalities o of the same sample;
    B3: ``B^m = B + softmax(Q [K^o ..]^T / sqrt(d_h)) [V^o ..] W_O``.

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

    def forward(self, prompts: Tensor, sources: Tensor, slots: Slots) -> Tensor:
        """Bind prompts of every present image.

        All targets are computed from the same sources, at once (B4: synchronously). An image whose sample has no
        other gets the prompts as they are; a missing image is no source.

        Args:
            prompts: B, (b, D).
            sources: What is read, S_l, of each present image: (n, s, D).
            slots: Where the images stand.

        Returns:
            Shape (n, b, D).
        """
        own = prompts.expand(sources.shape[0], -1, -1)
        if slots.present.shape[1] == 1:
            return own
        query = self._split(self.query(self.norm_prompts(prompts))[None])
        sources = self.norm_sources(sources.to(self.norm_sources.weight.dtype))
        key, value = (self._of_others(layer(sources), slots) for layer in (self.key, self.value))
        mask, alone = self._mask(slots, sources.shape[1])
        query = query.expand(key.shape[0], -1, -1, -1)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        learned = self.output(mixed.transpose(1, 2).flatten(2))
        if alone is not None:
            learned = learned.masked_fill(alone[:, None, None], 0.0)
        joined = learned.reshape(slots.present.shape[0], -1)
        return own + slots.part(joined).unflatten(1, own.shape[1:])

    def _split(self, tokens: Tensor) -> Tensor:
        """(B, k, D) by heads, (B, h, k, d)."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _of_others(self, tokens: Tensor, slots: Slots) -> Tensor:
        """For each slot the tokens (n, s, D) of the other slots of its sample: (B M, h, (M - 1) s, d)."""
        spread = slots.join(tokens.flatten(1)).unflatten(1, (-1, *tokens.shape[1:]))
        return self._split(_others(spread).flatten(2, 3).flatten(0, 1))

    @staticmethod
    def _mask(slots: Slots, length: int) -> tuple[Tensor | None, Tensor | None]:
        """Which of the others' tokens are there, (B M, 1, 1, (M - 1) s), and which slots have no other, (B M,)."""
        if slots.complete:
            return None, None
        there = _others(slots.present).flatten(0, 1)
        alone = ~there.any(dim=1)
        # Softmax over nothing is not a number: those who are alone look at the zeros, and what they see is dropped.
        there = (there | alone[:, None]).repeat_interleave(length, dim=1)
        return there[:, None, None], alone


def _others(values: Tensor) -> Tensor:
    """For each slot, the values of the other slots: (B, M, ...) to (B, M, M - 1, ...)."""
    slots = range(values.shape[1])
    return torch.stack([torch.cat([values[:, :slot], values[:, slot + 1 :]], dim=1) for slot in slots], dim=1)


class PromptIBind(nn.Module):
    """B1 to B5: bind prompts B, shared by modalities and layers, filled with what the other modalities found.

    After each interaction layer l, ``B_l^m = B + Attention_l(B, S_l^o, o != m)``. What becomes of B_l^m is the
    model's choice; see :class:`~promptreid.methods.dmpt.options.DMPTOptions`.

    Args:
        layers: The interaction layers, counted from 1; each has attention weights of its own.
        length: How many bind prompts.
        dim: D.
        heads: The tower's.
        std: Of the initialisation of B.
    """

    learning_rate_roles: ClassVar = {"prompts": "prompts"}

    prompt_family = "bind"

    def __init__(self, layers: Sequence[int], length: int, dim: int, heads: int, std: float = 0.02) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.empty(length, dim))
        nn.init.normal_(self.prompts, std=std)
        self.layers = tuple(layers)
        self.attentions = nn.ModuleList(BindAttention(dim, heads) for _ in self.layers)

    def forward(self, layer: int, sources: Tensor, slots: Slots) -> Tensor:
        """B_l^m after interaction layer ``layer``, from what each present image offers, (n, s, D): (n, length, D)."""
        attention: nn.Module = self.attentions[self.layers.index(layer)]
        bound: Tensor = attention(self.prompts, sources, slots)
        return bound
