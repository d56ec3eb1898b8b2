"""Attention probabilities of a block, computed plainly: for looking at them, never on the way to a descriptor.

The fast path asks torch for the mixed values alone and has no probabilities to show. Here they are computed again from
the block's own projections, softmax in float32, over the whole sequence and without dropout.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from promptreid.models.backbones.beside import NOTHING, Beside, added


def block_attention(block: Any, tokens: Tensor, beside: Beside = NOTHING) -> Tensor:
    """The probabilities with which a pre-norm ``block`` of timm looks at its tokens.

    Args:
        block: A timm ``Block``.
        tokens: Before its norm, (n, K, D).
        beside: What is added in it.

    Returns:
        Shape (n, heads, K, K), float32: row q says what token q looks at; rows sum to 1.
    """
    attn = block.attn
    normed = block.norm1(tokens)
    query, key, _ = attn.qkv(normed).chunk(3, dim=-1)
    query, key = (_by_head(part, attn.num_heads) for part in (added(query, beside.query, normed), key))
    return _probabilities(attn.q_norm(query), attn.k_norm(key), attn.scale)


def residual_attention(block: Any, tokens: Tensor, beside: Beside = NOTHING) -> Tensor:
    """The same of an open_clip ``ResidualAttentionBlock``."""
    attn = block.attn
    normed = block.ln_1(tokens)
    query, key, _ = F.linear(normed, attn.in_proj_weight, attn.in_proj_bias).chunk(3, dim=-1)
    query, key = (_by_head(part, attn.num_heads) for part in (added(query, beside.query, normed), key))
    return _probabilities(query, key, (attn.embed_dim // attn.num_heads) ** -0.5)


def _by_head(tokens: Tensor, heads: int) -> Tensor:
    """(n, K, D) to (n, heads, K, d)."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def _probabilities(query: Tensor, key: Tensor, scale: float) -> Tensor:
    return (query.float() @ key.float().transpose(-1, -2) * scale).softmax(dim=-1)
