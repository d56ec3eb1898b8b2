"""Attention of a frozen block in another form: prompts with a softmax of their own, or another temperature."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Shaping(NamedTuple):
    """How the tokens of one block attend.

    Attributes:
        own: How many tokens, from the first, are the image's: the class token and the patches. Prompts are behind them.
        gate: A scalar g. Given, the image's tokens attend to each other as if there were no prompts, and to the prompts
            apart: ``softmax(q K_own^T) V_own + g softmax(q K_prompts^T) V_prompts``, with the block's own projections.
            Prompts attend to everything, as always. None: one softmax over all.
        scale: A scalar that all scores are multiplied by, the inverse of a temperature; None for 1.

    References:
        Separate attention for prompts, with the block's own weights: Huang et al., CVPT: Cross Visual Prompt Tuning
        (arXiv 2408.14961); there it follows the block's self-attention, and prompts are not updated. Learned
        temperatures: Yoo et al., Improving Visual Prompt Tuning for Self-supervised Vision Transformers, ICML 2023.
    """

    own: int
    gate: Tensor | None = None
    scale: Tensor | None = None


def shaped_attention(query: Tensor, key: Tensor, value: Tensor, shaping: Shaping) -> Tensor:
    """The outputs of the first q of n tokens.

    Args:
        query: Shape (B, heads, q, d).
        key: Shape (B, heads, n, d).
        value: Shape (B, heads, n, d).
        shaping: See there.

    Returns:
        Shape (B, heads, q, d).
    """
    own, gate, scale = shaping
    if scale is not None:
        query = query * scale.to(query.dtype)
    if gate is None or own >= key.shape[2]:
        return F.scaled_dot_product_attention(query, key, value)
    image = query[:, :, :own]
    among = F.scaled_dot_product_attention(image, key[:, :, :own], value[:, :, :own])
    aside = F.scaled_dot_product_attention(image, key[:, :, own:], value[:, :, own:])
    mixed = among + gate.to(aside.dtype) * aside
    if query.shape[2] <= own:
        return mixed
    return torch.cat([mixed, F.scaled_dot_product_attention(query[:, :, own:], key, value)], dim=2)
