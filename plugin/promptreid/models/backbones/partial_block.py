"""One transformer block, computed only for the tokens whose output is read.

MIP uses a block in three ways: prompts are seen by the tokens but replaced at the next layer, the generator keeps the
outputs of its queries alone, and a head reads the class token alone. In each, some tokens serve as keys and values
only; their queries, projection and MLP have no effect and are left out here. The result is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from promptreid.models.backbones.beside import added
from promptreid.models.backbones.block_form import PLAIN, BlockForm
from promptreid.models.backbones.block_kinds import Context, kind_of

__all__ = ["BlockFunction", "Context", "context_block", "fresh_block", "plain_context_block", "recomputed"]

# timm's blocks have no common type, so a block is Any: (block, tokens, context, copies, form) -> tokens.
BlockFunction = Callable[..., Tensor]


def context_block(
    block: Any,
    tokens: Tensor,
    context: Sequence[Context] = (),
    copies: int = 1,
    form: BlockForm = PLAIN,
) -> Tensor:
    """The outputs of ``tokens`` when the pre-norm ``block`` runs on ``tokens`` and ``context`` together.

    Args:
        block: A timm ``Block`` or ``EvaBlock``.
        tokens: Shape (B, n, D).
        context: Tokens whose own outputs are not needed.
        copies: How many times each of ``tokens`` stands in the sequence; identical tokens have identical outputs.
        form: See there; its turns are those of ``tokens``.

    Returns:
        Shape (B, n, D).
    """
    kind = kind_of(block)
    own = Context(block.norm1(tokens), copies, form.turns)
    others = [part._replace(tokens=block.norm1(part.tokens)) for part in context]
    attended = kind.attend(block.attn, own, others, form.shaping, form.beside)
    tokens = tokens + block.drop_path1(kind.scale(block, 1, attended))
    normed = block.norm2(tokens)
    tokens = tokens + block.drop_path2(kind.scale(block, 2, block.mlp(normed)))
    return added(tokens, form.beside.mlp, normed)


def plain_context_block(
    block: Any, tokens: Tensor, context: Sequence[Context] = (), copies: int = 1, form: BlockForm = PLAIN
) -> Tensor:
    """The reference for :func:`context_block`: run the whole sequence through the block and drop what is not read.

    For timm's ``Block``, with nothing but its own weights.
    """
    assert form == PLAIN
    sequence = torch.cat([Context(tokens, copies).expanded(), *(part.expanded() for part in context)], dim=1)
    block.attn.fused_attn = False  # timm's own softmax attention
    return block(sequence)[:, : tokens.shape[1]]


def recomputed(function: Callable[..., Tensor], wanted: bool) -> Callable[..., Tensor]:
    """``function``, keeping only its arguments for the backward pass, if ``wanted``: less memory, one more forward.

    Random numbers are drawn again as they were, so that the outcome stays the same.
    """
    if not wanted or not torch.is_grad_enabled():
        return function
    return partial(checkpoint, function, use_reentrant=False)


def fresh_block(block: nn.Module) -> nn.Module:
    """A newly initialised block of the same shape, without drop path: weights trunc-normal 0.02, biases 0.

    A scale per channel (LayerScale) is 1: at the 1e-5 of a tower's own training the block would give what it was given.
    """
    fresh: Any = deepcopy(block)
    for module in fresh.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif hasattr(module, "reset_parameters"):
            module.reset_parameters()
    for name, parameter in fresh.named_parameters():
        if name.rpartition(".")[2].startswith("gamma"):
            nn.init.ones_(parameter)
    fresh.drop_path1 = fresh.drop_path2 = nn.Identity()
    return fresh
