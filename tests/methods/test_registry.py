from __future__ import annotations

import pytest
import torch

from promptreid.methods.base import MODELS

SHRINK = {"depth": 3, "embed_dim": 24, "num_heads": 2}


@pytest.mark.parametrize("name", sorted(name for name in MODELS if not name.startswith(("dmpt_", "shared_", "three_"))))
def test_every_name_keeps_torchreids_contract(name):
    """Built as torchreid builds models, on small ViTs; one name serves every image size."""
    train = MODELS[name](num_classes=4, loss="triplet", pretrained=False, use_gpu=False, vit=SHRINK)
    images = torch.randn(2, 3, 64, 48)
    logits, features = (output if isinstance(output, list) else [output] for output in train(images))
    assert all(tensor.shape == (2, 4) for tensor in logits)
    assert all(tensor.shape == (2, 24) for tensor in features)
    assert "classifier" in dict(train.named_children())
    evaluated = train.eval()(images)
    assert evaluated.shape == (2, 24 * len(features))
    assert evaluated.dtype == torch.float32


@pytest.mark.parametrize(("name", "heads"), [("mip", 5), ("transreid", 5), ("vit", 1)])
def test_families(name, heads):
    model = next(MODELS[one] for one in MODELS if one.startswith(name))(4, pretrained=False, vit=SHRINK)
    assert len(model.classifier) == heads
    assert (model.modality_prompts is not None) == (name == "mip")
    assert (model.sie is not None) == (name != "vit")
