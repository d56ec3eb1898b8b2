from __future__ import annotations

import torch
from torch import nn

from promptreid.methods.baselines.vits import transreid, vit_reid


def test_a_plain_vit_is_timms_class_token(tiny_mip):
    from promptreid.methods.mip.model import MIP
    from promptreid.models.backbones.vit import create_vit

    vit = create_vit("vit_tiny_patch16_224", 0.0, depth=3, embed_dim=24, num_heads=2, patch_size=8, img_size=(64, 32))
    images = torch.randn(2, 3, 64, 32)
    expected = vit.eval().forward_features(images)[:, 0]
    model = MIP(vit, 4, options=vit_reid(), stride=8).eval()
    torch.testing.assert_close(model(images), expected)


def test_no_prompt_of_any_kind_is_left(tiny_mip, batch):
    model = tiny_mip(options=transreid())
    output = model(batch)
    assert output["prompts"] == output["prompt_logits"] == []
    assert not [name for name, _ in model.named_parameters() if "prompt" in name]
    assert isinstance(model.sie, nn.Module)
