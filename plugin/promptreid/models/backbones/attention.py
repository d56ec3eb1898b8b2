"""Attention probabilities of a block, computed plainly: for looking at them, never on the way to a descriptor.

The fast path asks torch for the mixed values alone and has no probabilities to show. Here they are computed again from
the block's own projections, softmax in float32, over the whole sequence and without dropout.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from promptreid.models.backbones.beside import added
from promptreid.models.backbones.block_form import PLAIN, BlockForm
from promptreid.models.backbones.block_kinds import Context, by_head, kind_of


def block_attention(block: Any, tokens: Tensor, form: BlockForm = PLAIN) -> Tensor:
    """The probabilities with which a pre-norm ``block`` of timm looks at its tokens.

    Args:
        block: A timm ``Block`` or ``EvaBlock``.
        tokens: Before its norm, (n, K, D).
        form: See there; without a shaping.

    Returns:
        Shape (n, heads, K, K), float32: row q says what token q looks at; rows sum to 1.
    """
    assert form.shaping is None
    own = Context(block.norm1(tokens), turns=form.turns)
    query, key = kind_of(block).query_key(block.attn, own, form.beside)
    return _probabilities(query, key, block.attn.scale)


def residual_attention(block: Any, tokens: Tensor, form: BlockForm = PLAIN) -> Tensor:
    """The same of an open_clip ``ResidualAttentionBlock``."""
    attn = block.attn
    assert form.shaping is form.turns is None
    normed = block.ln_1(tokens)
    query, key, _ = F.linear(normed, attn.in_proj_weight, attn.in_proj_bias).chunk(3, dim=-1)
    query, key = (by_head(part, attn.num_heads) for part in (added(query, form.beside.query, normed), key))
    return _probabilities(query, key, (attn.embed_dim // attn.num_heads) ** -0.5)


def _probabilities(query: Tensor, key: Tensor, scale: float) -> Tensor:
    return (query.float() @ key.float().transpose(-1, -2) * scale).softmax(dim=-1)
