"""Which band images without labels are of, as torchreid's ``FeatureExtractor`` gives them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import promptreid
from promptreid import host
from promptreid.models import plain_images


@pytest.fixture(autouse=True)
def nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_images, "_warned", set())


def test_what_is_said_is_what_a_label_says(tiny_mip: Callable[..., Any], batch: dict[str, torch.Tensor]) -> None:
    model = tiny_mip().eval()
    images = batch["images"][:, 0]
    labelled = {**batch, "camera": torch.full((6,), -1)}
    for modality, name in enumerate(model.modalities):
        with promptreid.plain_images_are(name), torch.no_grad():
            said = model(images)
        with torch.no_grad():
            expected = model({**labelled, "modality": torch.full((6, 1), modality)})
        assert torch.equal(said, expected)


def test_what_nobody_said_is_visible_with_one_warning(
    tiny_mip: Callable[..., Any], batch: dict[str, torch.Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    model, images = tiny_mip().eval(), batch["images"][:, 0]
    with torch.no_grad(), caplog.at_level(logging.WARNING):
        first, again = model(images), model(images)
        with promptreid.plain_images_are("visible"):
            assert torch.equal(model(images), first)
        with promptreid.plain_images_are("infrared"):
            assert not torch.equal(model(images), first)
    assert torch.equal(first, again)
    assert caplog.text.count("images without labels are taken to be visible") == 1


def test_a_model_of_triples_takes_the_slot_that_is_said(batch: dict[str, torch.Tensor]) -> None:
    names = ("visible", "near_infrared", "thermal_infrared")
    sizes = {"depth": 3, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)}
    model = promptreid.MODELS["mip_vit_tiny_patch16"](
        4, pretrained=False, vit=sizes, stride=8, modalities=names, images_per_sample=3
    ).eval()
    images = batch["images"][:, 0]
    three = torch.zeros(6, 3, *images.shape[1:])
    three[:, 2] = images
    labelled = {
        "images": three,
        "modality": torch.arange(3).expand(6, 3),
        "camera": torch.full((6,), -1),
        "present": torch.tensor([False, False, True]).expand(6, 3),
    }
    with torch.no_grad(), promptreid.plain_images_are("thermal_infrared"):
        said = model(images)
    with torch.no_grad():
        assert torch.equal(said, model(labelled))


def test_an_unknown_band_is_refused(tiny_mip: Callable[..., Any], batch: dict[str, torch.Tensor]) -> None:
    with promptreid.plain_images_are("thermal"), pytest.raises(ValueError, match="the model knows visible, infrared"):
        tiny_mip().eval()(batch["images"][:, 0])


def test_torchreids_extractor(tmp_path: Path) -> None:
    Image.effect_noise((32, 64), 50).convert("RGB").save(tmp_path / "night.png")
    extractor = host.utils.FeatureExtractor(
        "mip_vit_tiny_patch16", "", image_size=(64, 32), device="cpu", verbose=False
    )
    with promptreid.plain_images_are("infrared"):
        infrared = extractor([str(tmp_path / "night.png")])
    assert not torch.equal(infrared, extractor([str(tmp_path / "night.png")]))
