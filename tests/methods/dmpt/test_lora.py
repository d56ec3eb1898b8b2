"""Low-rank changes of queries and values."""

from __future__ import annotations

import copy

import pytest
import torch
from dmpt_models import awake, tiny_dmpt
from torch import nn

from promptreid.methods.dmpt.lora import LoRA, LowRankChange
from promptreid.models.backbones.beside import Beside
from promptreid.models.backbones.block_form import BlockForm

DIM, RANK = 6, 2
TIMM = {
    "backbone": "vit_tiny_patch16_224", "word_source": "learned", "alignment": False, "bind": False,
    "tower": {"depth": 2, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)},
}  # fmt: skip


def change() -> LowRankChange:
    torch.manual_seed(0)
    module = LowRankChange(DIM, RANK, 3.0).double()
    nn.init.normal_(module.up.weight)
    return module


@torch.no_grad()
def test_it_is_its_slow_twin() -> None:
    module, tokens = change(), torch.randn(2, 3, DIM, dtype=torch.double)
    slow = torch.zeros_like(tokens)
    for at in ((image, place, row) for image in range(2) for place in range(3) for row in range(DIM)):
        for rank in range(RANK):
            inner = sum(module.down.weight[rank, k] * tokens[at[0], at[1], k] for k in range(DIM))
            slow[at] += 3.0 / RANK * module.up.weight[at[2], rank] * inner
    assert torch.allclose(module(tokens), slow, atol=1e-12)


def test_gradients() -> None:
    module, tokens = change(), torch.randn(2, 3, DIM, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(module, (tokens,))
    assert torch.autograd.gradcheck(lambda *_: module(tokens.detach()), list(module.parameters()))


def test_parameters_and_start() -> None:
    module = LoRA(DIM, RANK, 8.0)
    assert sum(value.numel() for value in module.parameters()) == 2 * 2 * DIM * RANK
    assert not module.query(torch.randn(1, 3, DIM)).any() and not module.value(torch.randn(1, 3, DIM)).any()


@pytest.mark.parametrize("settings", [{}, TIMM], ids=["clip", "timm"])
@pytest.mark.parametrize("reads", [None, 3, 1])
@torch.no_grad()
def test_it_is_the_block_with_changed_weights(settings: dict[str, object], reads: int | None) -> None:
    """However many outputs are read, also where few queries attend by another way; and in the attention shown."""
    model = awake(tiny_dmpt(lora=RANK, **settings))
    tower, lora, tokens = model.tower, model.lora[0], torch.randn(2, 9, 32)
    changed = copy.deepcopy(tower)
    attn = changed.trunk.blocks[0].attn.qkv if settings else changed.visual.transformer.resblocks[0].attn
    weight = attn.weight if settings else attn.in_proj_weight
    for third, part in ((0, lora.query), (2, lora.value)):
        weight[third * 32 : (third + 1) * 32] += part.scale * part.up.weight @ part.down.weight
    form = BlockForm(beside=Beside(None, lora.query, lora.value))
    found = tower.run(0, tokens, reads, form)
    assert torch.allclose(found, changed.run(0, tokens, reads), atol=1e-5)
    assert not torch.allclose(found, tower.run(0, tokens, reads), atol=1e-3)
    assert torch.allclose(tower.attention(0, tokens, form), changed.attention(0, tokens), atol=1e-5)
    assert not torch.allclose(tower.attention(0, tokens), changed.attention(0, tokens), atol=1e-3)
