from __future__ import annotations

import pytest
import torch

from promptreid.models.backbones.towers import TimmTower
from promptreid.models.backbones.vit import create_vit
from promptreid.models.frozen import Frozen

TINY_VIT = {"depth": 4, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)}


def vit():
    torch.manual_seed(0)
    return create_vit("vit_tiny_patch16_224", 0.0, **TINY_VIT).eval()


@pytest.mark.parametrize("freeze", [True, False])
@torch.no_grad()
def test_it_is_timms_vit(freeze):
    theirs, images = vit(), torch.randn(2, 3, 64, 32)
    tower = TimmTower(vit())
    tower = Frozen(tower).module if freeze else tower
    tokens = tower.embed(images)
    for layer in range(tower.layers):
        tokens = tower.run(layer, tokens)
    assert torch.allclose(tower.read(tokens), theirs.forward_features(images)[:, 0], atol=1e-5)
    assert (tower.dim, tower.out_dim, tower.heads, tower.layers) == (32, 32, 2, 4)
    assert tower.grid_of((64, 32)) == (8, 4)


@pytest.mark.parametrize("reads", [1, 4, 11])
@torch.no_grad()
def test_reading_fewer_tokens_gives_the_same_tokens(reads):
    tower, tokens = TimmTower(vit()), torch.randn(2, 11, 32)
    assert torch.allclose(tower.run(0, tokens, reads), tower.run(0, tokens)[:, :reads], atol=1e-6)


@torch.no_grad()
def test_side_information_is_added_to_the_class_token_alone():
    tower, images, side = TimmTower(vit(), stride=4), torch.randn(2, 3, 64, 32), torch.randn(2, 1, 32)
    change = tower.embed(images, side) - tower.embed(images)
    assert torch.allclose(change[:, :1], side, atol=1e-6)
    assert change[:, 1:].abs().max() == 0
    assert change.shape[1] == 1 + 15 * 7
