"""torchreid's own tools on models of ours: the complexity count, the feature extractor, activation maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dmpt_models import tiny_dmpt, triples
from torch import Tensor

from promptreid import ModalBatch, host
from promptreid.methods.base import MODELS
from promptreid.methods.baselines.torchreid_backbones import HOST_MODELS

VIT = {"depth": 2, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)}
MIPS = sorted(name for name in MODELS if not name.startswith("dmpt"))
DMPTS = sorted(name for name in MODELS if name.startswith("dmpt"))


def small(name: str, **settings: Any) -> Any:
    """A registered model with a small tower."""
    torch.manual_seed(0)
    settings = {"num_classes": 1, "pretrained": False, **settings}
    if name in HOST_MODELS:
        return HOST_MODELS[name](**settings)
    if name in DMPTS:
        return tiny_dmpt("softmax")
    return MODELS[name](vit=VIT, stride=8, **settings)


@pytest.mark.parametrize("name", [*MIPS, "dmpt_clip_tiny", "three_osnet_x0_25", "three_hacnn"])
def test_complexity_of_every_model(name: str) -> None:
    size = (160, 64) if name == "three_hacnn" else (64, 32)
    model = small(name).train()
    parameters, flops = host.utils.compute_model_complexity(model, (1, 3, *size))
    assert parameters > 0 and flops > 0
    assert model.training


@pytest.mark.parametrize(
    "name", ["mip_vit_tiny_patch16", "shared_vit_tiny_patch16", "dmpt_clip_tiny", "three_osnet_x0_25"]
)
def test_feature_extractor_as_it_comes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    factory = vars(host.models)["__model_factory"]
    monkeypatch.setitem(factory, name, lambda **settings: small(name))
    extractor = host.utils.FeatureExtractor(model_name=name, image_size=(64, 32), device="cpu")
    features = extractor([np.zeros((40, 20, 3), dtype=np.uint8)] * 2)
    assert features.ndim == 2 and len(features) == 2 and features.dtype == torch.float32
    torch.testing.assert_close(features[0], features[1])


@pytest.mark.parametrize("name", ["shared_vit_tiny_patch16", "dmpt_clip_tiny", "three_osnet_x0_25"])
@torch.no_grad()
def test_a_plain_image_is_the_first_of_its_sample(name: str) -> None:
    model, batch = small(name).eval(), triples()
    batch["present"][:, 1:] = False
    batch["camera"][:] = -1
    assert torch.equal(model(batch["images"][:, 0]), model(batch))
    if "three" not in name:
        with pytest.raises(ValueError, match="takes 3 images per sample, got 2"):
            model(batch["images"][:, :2])


def test_a_model_of_triples_learns_from_plain_images() -> None:
    for name in ("shared_vit_tiny_patch16", "dmpt_clip_tiny", "three_osnet_x0_25"):
        logits = small(name, num_classes=5).train()(triples()["images"][:, 0])
        assert isinstance(logits, Tensor)
        logits.sum().backward()


@pytest.mark.parametrize("name", ["mip_vit_tiny_patch16", "vit_tiny_patch16_reid"])
@torch.no_grad()
def test_activation_maps_of_single_images(name: str) -> None:
    model, images = small(name).eval(), torch.randn(2, 3, 64, 32)
    maps = model(images, return_featuremaps=True)
    assert maps.shape == (2, 32, 8, 4)
    # The slow way: the head's block on all tokens, by timm's own code.
    tokens = model._trunk(images, torch.zeros(2, dtype=torch.long), torch.full((2,), -1))[0]
    expected = model.head.b1.block(tokens)[:, 1:].transpose(1, 2).unflatten(2, (8, 4))
    torch.testing.assert_close(maps, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_activation_maps_of_triples() -> None:
    batch = triples(2)
    batch["present"][1, 2] = False
    for name, width in (("shared_vit_tiny_patch16", 32), ("dmpt_clip_tiny", 32), ("three_osnet_x0_25", 128)):
        model = small(name).eval()
        maps = model(batch, return_featuremaps=True)
        assert maps.shape[:2] == (2, 3 * width) and maps.ndim == 4
        assert not maps[1, 2 * width :].any() and maps[1, : 2 * width].any()
        assert model(batch["images"][:, 0], return_featuremaps=True).shape == maps.shape
    with pytest.raises(TypeError, match="return_featuremaps"):
        small("three_mlfn").eval()(batch, return_featuremaps=True)


@torch.no_grad()
def test_the_class_token_of_a_dmpt_does_not_depend_on_the_maps() -> None:
    """What is read besides the class token is what open_clip's own blocks give without prompts."""
    model = tiny_dmpt(semantic=False, words=False, bind=False, alignment=False).eval()
    images = triples(2, size=(64, 64))["images"]
    tower = model.tower
    tokens = tower.embed(images.flatten(0, 1))
    for block in tower.visual.transformer.resblocks:
        tokens = block(tokens)
    expected = tokens[:, 1:].transpose(1, 2).unflatten(2, (4, 4)).unflatten(0, (2, 3)).flatten(1, 2)
    torch.testing.assert_close(model(images, return_featuremaps=True), expected, atol=1e-5, rtol=1e-4)


def test_activation_maps_are_drawn_from_batches_of_ours() -> None:
    """What torchreid's script does with a batch: maps, then each image by its place."""
    batch = ModalBatch.of(torch.randn(2, 1, 3, 64, 32), torch.zeros(2, 1).long(), torch.zeros(2).long())
    maps = small("vit_tiny_patch16_reid").eval()(batch, return_featuremaps=True)
    assert maps.shape[0] == batch.size(0)
    assert torch.equal(batch[1, ...], batch["images"][1, 0])


@pytest.mark.parametrize("name", ["vit_tiny_patch16_reid", "dmpt_clip_tiny"])
def test_one_head_gives_tensors_as_torchreids_models_do(name: str) -> None:
    images = torch.randn(2, 3, 64, 32)
    if name == "dmpt_clip_tiny":
        logits, features = tiny_dmpt("triplet").train()(images)
        assert features.shape == (2, 3 * 24)
    else:
        logits, features = small(name, loss="triplet", num_classes=5).train()(images)
    assert logits.shape == (2, 5) and isinstance(features, Tensor)
