from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from promptreid.models.backbones.vit import Backbone, create_vit

TINY = {"depth": 3, "embed_dim": 24, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)}


def tiny(**changes):
    torch.manual_seed(0)
    return create_vit("vit_tiny_patch16_224", **{**TINY, **changes})


def test_on_its_own_grid_the_backbone_is_timms():
    vit = tiny(drop_path=0.0).eval()
    images = torch.randn(2, 3, 64, 32)
    expected = vit.forward_features(images)
    backbone = Backbone(vit, depth=3, stride=8).eval()
    tokens = backbone.embed(images)
    for block in backbone.blocks:
        tokens = block(tokens)
    torch.testing.assert_close(vit.norm(tokens), expected)


def test_a_vit_without_a_position_for_its_class_token_is_timms_too():
    vit = tiny(no_embed_class=True, drop_path=0.0).eval()
    images = torch.randn(2, 3, 64, 32)
    expected = vit.forward_features(images)
    torch.testing.assert_close(vit.norm(vit.blocks(Backbone(vit, 3, stride=8).embed(images))), expected)


@pytest.mark.parametrize(("size", "stride", "tokens"), [((64, 32), 6, 50), ((32, 64), 8, 32), ((96, 40), 8, 60)])
def test_any_size_and_stride(size, stride, tokens):
    assert Backbone(tiny(), 3, stride).embed(torch.randn(2, 3, *size)).shape == (2, 1 + tokens, 24)


def test_settling_on_a_training_size_changes_where_positions_live_and_nothing_else():
    images = torch.randn(2, 3, 48, 40)
    flexible, settled = Backbone(tiny(), 3, 6), Backbone(tiny(), 3, 6, image_size=(48, 40))
    assert flexible.grid == (8, 4)
    assert settled.grid == (7, 6)
    assert settled.pos_embed.shape == (1, 43, 24)
    torch.testing.assert_close(settled.embed(images), flexible.embed(images))


def test_side_information_reaches_all_tokens():
    backbone = Backbone(tiny(), 3, 8)
    images, side = torch.randn(2, 3, 64, 32), torch.randn(2, 1, 24)
    torch.testing.assert_close(backbone.embed(images, side), backbone.embed(images) + side)


def test_positions_get_gradients_through_the_resampling():
    backbone = Backbone(tiny(), 3, 6)
    backbone.embed(torch.randn(1, 3, 48, 40)).sum().backward()
    assert backbone.pos_embed.grad.abs().min() > 0


def test_drop_path_grows_linearly():
    blocks = create_vit("vit_tiny_patch16_224", drop_path=0.1).blocks
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in blocks]
    assert rates == pytest.approx([0.1 * i / 11 for i in range(12)])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_vit", "timm has no"),
        ("vit_tiny_patch16_224.no_such_tag", "timm has no"),
        ("resnet18", "cannot be prompted.*ResNet"),
        ("vit_tiny_r_s16_p8_224", "HybridEmbed"),
        ("vit_small_patch16_rope_mixed_224", "RotaryEmbeddingMixed.*docs/towers.md"),
        ("beit_base_patch16_224", "neither a VisionTransformer nor an Eva"),
        ("vit_base_patch16_rpn_224", "ResPostBlock"),
    ],
)
def test_what_cannot_be_prompted_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        create_vit(name, drop_path=0.0)


def test_a_stride_below_one_is_refused():
    with pytest.raises(ValueError, match="stride must be"):
        Backbone(tiny(), 3, 0)


def test_importing_the_models_does_not_import_timm():
    code = "import sys, promptreid.methods; print('timm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
