"""How the pre-norm blocks of timm's vision transformers attend: the plain ones, and EVA's, whose tokens turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.backbones.beside import Beside, Change, added
from promptreid.models.backbones.rotary import turned
from promptreid.models.backbones.shaped_attention import Shaping, shaped_attention


class Context(NamedTuple):
    """Tokens that are attended to but not updated.

    Attributes:
        tokens: Shape (B, n, D).
        copies: How many times each of them stands in the sequence. Copies share their softmax mass, so they matter.
        turns: The rotary positions of the first of them, as :func:`~promptreid.models.backbones.rotary.turned` takes
            them; None where no token has one.
    """

    tokens: Tensor
    copies: int = 1
    turns: Tensor | None = None

    def expanded(self) -> Tensor:
        """All copies written out, (B, n * copies, D)."""
        return self.tokens.repeat(1, self.copies, 1) if self.copies > 1 else self.tokens


class BlockKind(NamedTuple):
    """What differs between blocks of the form ``x + s1 attn(norm1(x))``, then ``x + s2 mlp(norm2(x))``.

    Attributes:
        attend: From the attention module, normalised tokens and context, a shaping and what is added to queries and
            values, to the outputs of the tokens.
        scale: From the block, 1 or 2 and that branch's output to the scaled output.
        query_key: From the attention module, all normalised tokens and what is added to queries, to queries and keys by
            head, (n, heads, K, d).
    """

    attend: Callable[[Any, Context, Sequence[Context], Shaping | None, Beside], Tensor]
    scale: Callable[[Any, int, Tensor], Tensor]
    query_key: Callable[[Any, Context, Beside], tuple[Tensor, Tensor]]


def kind_of(block: Any) -> BlockKind:
    """The kind of a block that :func:`~promptreid.models.backbones.vit.create_vit` has let through."""
    return _KINDS[type(block).__name__]


def _attend_plain(
    attn: Any, own: Context, others: Sequence[Context], shaping: Shaping | None, beside: Beside
) -> Tensor:
    usual = shaping is None and beside.query is beside.value is None
    if usual and _folds(attn, own.tokens.shape[1]):
        return _attend_folded(attn, own, others)
    return _attend(attn, own, others, shaping, beside)


def _scale_plain(block: Any, branch: int, tokens: Tensor) -> Tensor:
    scaled: Tensor = getattr(block, f"ls{branch}")(tokens)
    return scaled


def _query_key_plain(attn: Any, tokens: Context, beside: Beside) -> tuple[Tensor, Tensor]:
    query, key, _ = attn.qkv(tokens.tokens).chunk(3, dim=-1)
    query = added(query, beside.query, tokens.tokens)
    return attn.q_norm(by_head(query, attn.num_heads)), attn.k_norm(by_head(key, attn.num_heads))


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


def _attend(attn: Any, own: Context, others: Sequence[Context], shaping: Shaping | None, beside: Beside) -> Tensor:
    """Attention of all of ``own`` to itself and to the others, whose queries are not computed."""
    width = attn.qkv.out_features // 3
    query, pair = attn.qkv(own.tokens).split((width, 2 * width), dim=-1)
    pairs = [Context(pair, own.copies).expanded(), *(_keys_values(attn.qkv, part) for part in others)]
    key, value = torch.cat(pairs, dim=1).chunk(2, dim=-1)
    query = added(query, beside.query, own.tokens)
    if beside.value is not None:
        value = added(value, beside.value, torch.cat([part.expanded() for part in (own, *others)], dim=1))
    query, key, value = (by_head(part, attn.num_heads) for part in (query, key, value))
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


def by_head(tokens: Tensor, heads: int) -> Tensor:
    """(n, K, D) to (n, heads, K, d)."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def _attend_turned(
    attn: Any, own: Context, others: Sequence[Context], shaping: Shaping | None, beside: Beside
) -> Tensor:
    """EVA's attention: projections with or without biases, joined or not; rotary positions; a norm or a gate behind."""
    query = _turned_query(attn, own, beside.query)
    pairs = [_turned_pair(attn, part, beside.value) for part in (own, *others)]
    key, value = (torch.cat(parts, dim=2) for parts in zip(*pairs, strict=True))
    if shaping is None:
        dropout = attn.attn_drop.p if attn.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
    else:
        mixed = shaped_attention(query, key, value, shaping)
    mixed = attn.norm(mixed.transpose(1, 2).flatten(2))
    gate = getattr(attn, "gate", None)  # timm before 1.0.28 has none
    if gate is not None:
        mixed = mixed * gate(own.tokens).sigmoid()
    return attn.proj_drop(attn.proj(mixed))


def _turned_query(attn: Any, tokens: Context, change: Change | None) -> Tensor:
    """Queries by head; a change is part of the projection, before norm and rotation."""
    if attn.qkv is None:
        query = attn.q_proj(tokens.tokens)
    else:
        width, bias = attn.qkv.out_features // 3, _joint_bias(attn)
        query = F.linear(tokens.tokens, attn.qkv.weight[:width], None if bias is None else bias[:width])
    query = added(query, change, tokens.tokens)
    return turned(attn.q_norm(by_head(query, attn.num_heads)), tokens.turns, attn.rotate_half)


def _turned_pair(attn: Any, tokens: Context, change: Change | None) -> tuple[Tensor, Tensor]:
    """Keys, and values with what is added to them, by head; copies are written out."""
    if attn.qkv is None:
        key, value = attn.k_proj(tokens.tokens), attn.v_proj(tokens.tokens)
    else:
        width, bias = attn.qkv.out_features // 3, _joint_bias(attn)
        key, value = F.linear(tokens.tokens, attn.qkv.weight[width:], None if bias is None else bias[width:]).chunk(
            2, dim=-1
        )
    key = turned(attn.k_norm(by_head(key, attn.num_heads)), tokens.turns, attn.rotate_half)
    value = by_head(added(value, change, tokens.tokens), attn.num_heads)
    return key.repeat(1, 1, tokens.copies, 1), value.repeat(1, 1, tokens.copies, 1)


def _joint_bias(attn: Any) -> Tensor | None:
    """Of queries, keys and values, (3 D,); EVA's keys have a zero there."""
    own: Tensor | None = attn.qkv.bias
    if own is not None or getattr(attn, "q_bias", None) is None:
        return own
    return torch.cat([attn.q_bias, attn.k_bias, attn.v_bias])


def _scale_turned(block: Any, branch: int, tokens: Tensor) -> Tensor:
    scale = getattr(block, f"gamma_{branch}")
    return tokens if scale is None else tokens * scale


def _query_key_turned(attn: Any, tokens: Context, beside: Beside) -> tuple[Tensor, Tensor]:
    return _turned_query(attn, tokens, beside.query), _turned_pair(attn, tokens, None)[0]


_KINDS = {
    "Block": BlockKind(_attend_plain, _scale_plain, _query_key_plain),
    "EvaBlock": BlockKind(_attend_turned, _scale_turned, _query_key_turned),
}
