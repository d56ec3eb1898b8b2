"""One transformer block, computed only for the tokens whose output is read.

MIP uses a block in three ways: prompts are seen by the tokens but replaced at the next layer, the generator keeps the
outputs of its queries alone, and a head reads the class token alone. In each, some tokens serve as keys and values
only; their queries, projection and MLP have no effect and are left out here. The result is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Context(NamedTuple):
    """Tokens that are attended to but not updated.

    Attributes:
        tokens: Shape (B, n, D).
        copies: How many times each of them stands in the sequence. Copies share their softmax mass, so they matter.
    """

    tokens: Tensor
    copies: int = 1

    def expanded(self) -> Tensor:
        """All copies written out, (B, n * copies, D)."""
        return self.tokens.repeat(1, self.copies, 1) if self.copies > 1 else self.tokens


# timm's blocks have no common type, so a block is Any: (block, tokens, context, copies) -> tokens.
BlockFunction = Callable[[Any, Tensor, Sequence[Context], int], Tensor]


def context_block(block: Any, tokens: Tensor, context: Sequence[Context] = (), copies: int = 1) -> Tensor:
    """The outputs of ``tokens`` when the pre-norm ``block`` runs on ``tokens`` and ``context`` together.

    Args:
        block: A timm ``Block``.
        tokens: Shape (B, n, D).
        context: Tokens whose own outputs are not needed.
        copies: How many times each of ``tokens`` stands in the sequence; identical tokens have identical outputs.

    Returns:
        Shape (B, n, D).
    """
    attn = block.attn
    width = attn.qkv.out_features // 3
    query, pair = attn.qkv(block.norm1(tokens)).split((width, 2 * width), dim=-1)
    pairs = [Context(pair, copies).expanded(), *(_keys_values(block, part) for part in context)]
    key, value = torch.cat(pairs, dim=1).chunk(2, dim=-1)
    tokens = tokens + block.drop_path1(block.ls1(_attend(attn, query, key, value)))
    return tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens))))


def plain_context_block(block: Any, tokens: Tensor, context: Sequence[Context] = (), copies: int = 1) -> Tensor:
    """The reference for :func:`context_block`: run the whole sequence through the block and drop what is not read."""
    sequence = torch.cat([Context(tokens, copies).expanded(), *(part.expanded() for part in context)], dim=1)
    block.attn.fused_attn = False  # timm's own softmax attention
    return block(sequence)[:, : tokens.shape[1]]


def _keys_values(block: Any, context: Context) -> Tensor:
    """Keys and values of the context, (B, n * copies, 2 D), without the queries' third of the projection."""
    qkv = block.attn.qkv
    width = qkv.out_features // 3
    bias = None if qkv.bias is None else qkv.bias[width:]
    pair = F.linear(block.norm1(context.tokens), qkv.weight[width:], bias)
    return Context(pair, context.copies).expanded()


def _attend(attn: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    query, key, value = (part.unflatten(-1, (attn.num_heads, -1)).transpose(1, 2) for part in (query, key, value))
    dropout = attn.attn_drop.p if attn.training else 0.0
    mixed = F.scaled_dot_product_attention(attn.q_norm(query), attn.k_norm(key), value, dropout_p=dropout)
    return attn.proj_drop(attn.proj(mixed.transpose(1, 2).flatten(2)))


def fresh_block(block: nn.Module) -> nn.Module:
    """A newly initialised block of the same shape, without drop path: weights trunc-normal 0.02, biases 0."""
    fresh: Any = deepcopy(block)
    for module in fresh.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif hasattr(module, "reset_parameters"):
            module.reset_parameters()
    fresh.drop_path1 = fresh.drop_path2 = nn.Identity()
    return fresh
