"""One transformer block, computed only for the tokens whose output is read.

MIP uses a block in three ways: prompts are seen by the tokens but replaced at the next layer, the generator keeps the
outputs of its queries alone, and a head reads the class token alone. In each, some tokens serve as keys and values
only; their queries, projection and MLP have no effect and are left out here. The result is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from promptreid.models.backbones.beside import NOTHING, Beside, added
from promptreid.models.backbones.shaped_attention import Shaping, shaped_attention


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


def context_block(
    block: Any,
    tokens: Tensor,
    context: Sequence[Context] = (),
    copies: int = 1,
    shaping: Shaping | None = None,
    beside: Beside = NOTHING,
) -> Tensor:
    """The outputs of ``tokens`` when the pre-norm ``block`` runs on ``tokens`` and ``context`` together.

    Args:
        block: A timm ``Block``.
        tokens: Shape (B, n, D).
        context: Tokens whose own outputs are not needed.
        copies: How many times each of ``tokens`` stands in the sequence; identical tokens have identical outputs.
        shaping: Another form of attention.
        beside: What is added in it.

    Returns:
        Shape (B, n, D).
    """
    attn = block.attn
    own = Context(block.norm1(tokens), copies)
    others = [Context(block.norm1(part.tokens), part.copies) for part in context]
    attend: Callable[..., Tensor] = _attend_folded if _folds(attn, tokens.shape[1]) else _attend
    if shaping is not None or beside.query is not None or beside.value is not None:
        attend = partial(_attend, shaping=shaping, beside=beside)
    tokens = tokens + block.drop_path1(block.ls1(attend(attn, own, others)))
    normed = block.norm2(tokens)
    return added(tokens + block.drop_path2(block.ls2(block.mlp(normed))), beside.mlp, normed)


def plain_context_block(block: Any, tokens: Tensor, context: Sequence[Context] = (), copies: int = 1) -> Tensor:
    """The reference for :func:`context_block`: run the whole sequence through the block and drop what is not read."""
    sequence = torch.cat([Context(tokens, copies).expanded(), *(part.expanded() for part in context)], dim=1)
    block.attn.fused_attn = False  # timm's own softmax attention
    return block(sequence)[:, : tokens.shape[1]]


def _folds(attn: Any, queries: int) -> bool:
    """Whether so few queries attend that :func:`_attend_folded` is faster than projecting every key.

    By count it saves work below D / heads queries. Measured on a CPU, with ViT-B and 211 keys, one query takes a tenth
    of the time and 16 take longer, because the heads no longer share the keys' projection.
    """
    plain = isinstance(attn.q_norm, nn.Identity) and isinstance(attn.k_norm, nn.Identity)
    drops = attn.training and attn.attn_drop.p > 0
    return plain and not drops and 8 * queries * attn.num_heads < attn.qkv.in_features


def _attend_folded(attn: Any, own: Context, others: Sequence[Context]) -> Tensor:
    """Attention of few queries, with the key and value projections moved from the keys to the queries; exact.

    A head's scores (W_q x)^T (W_k y_j) are ((W_k^T W_q) x)^T y_j, and its output sum_j a_j W_v y_j is
    W_v (sum_j a_j y_j): S keys cost 2 S D for each query and head, instead of 2 S D^2 for all. The key bias adds the
    same to all scores of a query, which softmax doesn't see; the value bias comes out as it is, since the a_j sum to 1.
    """
    heads, queries = attn.num_heads, own.tokens.shape[1]
    w_query, w_key, w_value = (part.unflatten(0, (heads, -1)) for part in attn.qkv.weight.chunk(3))
    query = torch.einsum("bne,hde->bnhd", own.tokens, w_query)
    if attn.qkv.bias is not None:
        query = query + attn.qkv.bias.chunk(3)[0].unflatten(0, (heads, -1))
    folded = torch.einsum("bnhd,hde->bnhe", query, w_key).flatten(1, 2)
    keys = torch.cat([part.expanded() for part in (own, *others)], dim=1)
    # One head whose queries are those of all heads; exporters know the operator with an axis of heads alone.
    one_head = (folded.unsqueeze(1), keys.unsqueeze(1), keys.unsqueeze(1))
    mixed = F.scaled_dot_product_attention(*one_head, scale=attn.scale).squeeze(1).unflatten(1, (queries, heads))
    output = torch.einsum("bnhe,hde->bnhd", mixed, w_value).flatten(2)
    if attn.qkv.bias is not None:
        output = output + attn.qkv.bias.chunk(3)[2]
    return attn.proj_drop(attn.proj(output))


def _attend(
    attn: Any, own: Context, others: Sequence[Context], shaping: Shaping | None = None, beside: Beside = NOTHING
) -> Tensor:
    """Attention of all of ``own`` to itself and to the others, whose queries are not computed."""
    width = attn.qkv.out_features // 3
    query, pair = attn.qkv(own.tokens).split((width, 2 * width), dim=-1)
    pairs = [Context(pair, own.copies).expanded(), *(_keys_values(attn.qkv, part) for part in others)]
    key, value = torch.cat(pairs, dim=1).chunk(2, dim=-1)
    query = added(query, beside.query, own.tokens)
    if beside.value is not None:
        value = added(value, beside.value, torch.cat([part.expanded() for part in (own, *others)], dim=1))
    query, key, value = (part.unflatten(-1, (attn.num_heads, -1)).transpose(1, 2) for part in (query, key, value))
    dropout = attn.attn_drop.p if attn.training else 0.0
    query, key = attn.q_norm(query), attn.k_norm(key)
    if shaping is None:
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
    else:
        mixed = shaped_attention(query, key, value, shaping)
    return attn.proj_drop(attn.proj(mixed.transpose(1, 2).flatten(2)))


def _keys_values(qkv: nn.Linear, context: Context) -> Tensor:
    """Keys and values of the context, (B, n * copies, 2 D), without the queries' third of the projection."""
    width = qkv.out_features // 3
    bias = None if qkv.bias is None else qkv.bias[width:]
    return Context(F.linear(context.tokens, qkv.weight[width:], bias), context.copies).expanded()


def recomputed(function: Callable[..., Tensor], wanted: bool) -> Callable[..., Tensor]:
    """``function``, keeping only its arguments for the backward pass, if ``wanted``: less memory, one more forward.

    Random numbers are drawn again as they were, so that the outcome stays the same.
    """
    if not wanted or not torch.is_grad_enabled():
        return function
    return partial(checkpoint, function, use_reentrant=False)


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
