from __future__ import annotations

import pytest
import torch

from promptreid.models.backbones import block_kinds as blocks
from promptreid.models.backbones.partial_block import Context, context_block, fresh_block, plain_context_block
from promptreid.models.backbones.vit import import_timm

import_timm()


def make_block(dim=16, **settings):
    from timm.models.vision_transformer import Block

    torch.manual_seed(0)
    block = Block(**{"dim": dim, "num_heads": 2, "qkv_bias": True, **settings}).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return block


@pytest.mark.parametrize(
    "settings", [{}, {"init_values": 0.1}, {"qk_norm": True}, {"proj_bias": False}], ids=lambda s: str(s or "plain")
)
@pytest.mark.parametrize("copies", [1, 3])
def test_leaving_out_what_is_not_read_changes_nothing(settings, copies):
    block = make_block(**settings)
    tokens = torch.randn(2, 4, 16, dtype=torch.double, requires_grad=True)
    prompts = torch.randn(2, 5, 16, dtype=torch.double, requires_grad=True)
    one = torch.randn(2, 1, 16, dtype=torch.double, requires_grad=True)
    context = [Context(prompts), Context(one, 7)]
    wanted = [tokens, prompts, one, *block.parameters()]

    results = []
    for function in (context_block, plain_context_block):
        output = function(block, tokens, context, copies)
        gradients = torch.autograd.grad(output.square().sum(), wanted)
        results.append([output, *gradients])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("settings", [{}, {"qkv_bias": False}, {"qk_norm": True}], ids=lambda s: str(s or "plain"))
@pytest.mark.parametrize("copies", [1, 3])
def test_a_single_query_gives_the_same(settings, copies, monkeypatch):
    """One query is computed without projecting the keys, except where they are normalised."""
    block = make_block(dim=64, **settings)
    folded = []
    attend = blocks._attend_folded
    monkeypatch.setattr(blocks, "_attend_folded", lambda *args: folded.append(1) or attend(*args))
    tokens = torch.randn(2, 1, 64, dtype=torch.double, requires_grad=True)
    others = torch.randn(2, 9, 64, dtype=torch.double, requires_grad=True)
    wanted = [tokens, others, *block.parameters()]
    results = []
    for function in (context_block, plain_context_block):
        output = function(block, tokens, [Context(others)], copies)
        gradients = torch.autograd.grad(output.square().sum(), wanted)
        results.append([output, *gradients])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-9, atol=1e-10)
    assert bool(folded) == ("qk_norm" not in settings)


def test_without_context_it_is_the_block():
    block = make_block()
    tokens = torch.randn(2, 4, 16, dtype=torch.double)
    torch.testing.assert_close(context_block(block, tokens), block(tokens))


def test_copies_count():
    block = make_block()
    tokens, other = torch.randn(2, 2, 1, 16, dtype=torch.double)
    once = context_block(block, tokens, [Context(other)])
    often = context_block(block, tokens, [Context(other, 16)])
    assert (once - often).abs().max() > 1e-3


def test_a_block_without_qkv_bias():
    from timm.models.vision_transformer import Block

    block = Block(dim=16, num_heads=2, qkv_bias=False)
    tokens, other = torch.randn(2, 2, 3, 16)
    torch.testing.assert_close(
        context_block(block, tokens, [Context(other)]), plain_context_block(block, tokens, [Context(other)])
    )


def test_attention_dropout_and_drop_path_act_in_training_only():
    block = make_block(attn_drop=0.5, drop_path=0.5)
    tokens = torch.randn(8, 4, 16, dtype=torch.double)
    assert not torch.equal(context_block(block, tokens), context_block(block, tokens))
    block.eval()
    assert torch.equal(context_block(block, tokens), context_block(block, tokens))


def test_a_fresh_block_shares_nothing_with_its_model():
    block = make_block(drop_path=0.5)
    fresh = fresh_block(block)
    assert all(not torch.equal(a, b) for a, b in zip(block.parameters(), fresh.parameters(), strict=True))
    assert fresh.mlp.fc1.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert not fresh.attn.qkv.bias.any()
    assert (fresh.norm1.weight == 1).all()
    assert isinstance(fresh.drop_path1, torch.nn.Identity)
    assert isinstance(fresh.drop_path2, torch.nn.Identity)
