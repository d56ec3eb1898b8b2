"""Attention probabilities: what the fast path mixes values with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from dmpt_models import tiny_dmpt
from torch import Tensor

from promptreid.models.backbones.attention import block_attention
from promptreid.models.backbones.partial_block import Context, context_block
from promptreid.models.backbones.vit import create_vit

VIT = {"depth": 1, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)}


def test_timm_s_probabilities_mix_the_values_into_the_block_s_output() -> None:
    torch.manual_seed(0)
    block: Any = create_vit("vit_tiny_patch16_224", 0.0, **VIT).blocks[0].eval()
    own, other = torch.randn(2, 5, 32), torch.randn(2, 3, 32)
    weights = block_attention(block, torch.cat([own, other.repeat(1, 2, 1)], dim=1))
    assert weights.shape == (2, 2, 11, 11)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(2, 2, 11), atol=1e-6)
    normed = block.norm1(torch.cat([own, other.repeat(1, 2, 1)], dim=1))
    value = block.attn.qkv(normed)[..., 64:].unflatten(-1, (2, 16)).transpose(1, 2)
    mixed = block.attn.proj((weights[:, :, :5] @ value).transpose(1, 2).flatten(2))
    middle = own + mixed
    expected = middle + block.mlp(block.norm2(middle))
    assert torch.allclose(context_block(block, own, [Context(other, 2)]), expected, atol=1e-5)


@pytest.mark.parametrize("reads", [None, 1])
def test_clip_s_probabilities_are_those_of_torch_s_own_attention(reads: int | None) -> None:
    tower: Any = tiny_dmpt().eval().tower
    tokens = torch.randn(3, 7, tower.dim)
    block = tower.visual.transformer.resblocks[1]
    normed: Tensor = block.ln_1(tokens)
    output, expected = block.attn(normed, normed, normed, need_weights=True, average_attn_weights=False)
    assert torch.allclose(tower.attention(1, tokens), expected, atol=1e-6)
    middle = tokens + output
    run = tower.run(1, tokens, reads)
    assert torch.allclose(run, (middle + block.mlp(block.ln_2(middle)))[:, :reads], atol=1e-5)
