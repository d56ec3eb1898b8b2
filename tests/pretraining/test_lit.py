"""The CLIP around a locked image tower: locked it stays, words come to fit what it sees, and refused mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from promptreid.models.backbones.bundled_towers import MINI_VIT_NAME, clip_image_of_vit
from promptreid.models.backbones.vit import create_vit
from promptreid.pretraining import lit_training
from promptreid.pretraining.clip_training import create_clip
from promptreid.pretraining.lit_training import LitRecipe, train_lit

TINY_VIT = {"depth": 2, "embed_dim": 32, "num_heads": 2, "patch_size": 32, "img_size": [128, 64]}
TINY_LIT: dict[str, Any] = {
    "embed_dim": 16,
    "quick_gelu": False,
    "vision_cfg": {
        "layers": 2, "width": 32, "head_width": 16, "patch_size": 32, "image_size": [128, 64], "no_ln_pre": True,
    },
    "text_cfg": {"context_length": 48, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
}  # fmt: skip
RECIPE = LitRecipe(seed=90_005, steps=6, batch=16, warmup=2, pictures=64)


@pytest.fixture(scope="module")
def vit() -> Any:
    torch.manual_seed(0)
    vit = create_vit(MINI_VIT_NAME, drop_path=0.0, **TINY_VIT)
    torch.nn.init.normal_(vit.patch_embed.proj.bias)
    return vit.eval()


def trained(vit: Any, folder: Path, recipe: LitRecipe = RECIPE) -> tuple[dict[str, Tensor], list[float]]:
    return train_lit(recipe, vit.state_dict(), folder / "lit.pth", TINY_LIT, every=2)


def test_the_image_tower_is_that_of_the_vit(vit: Any) -> None:
    clip = create_clip(40, TINY_LIT).eval()
    for module in clip.modules():  # open_clip's LayerNorm has another eps, which matters beside random weights
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = vit.norm.eps
    clip.visual.load_state_dict(clip_image_of_vit(vit.state_dict(), torch.eye(32, 16)))
    images = torch.randn(3, 3, 128, 64)
    with torch.no_grad():
        assert torch.allclose(clip.encode_image(images), vit(images)[:, :16], atol=1e-5)


def test_the_file_holds_nothing_of_the_locked_tower(vit: Any, tmp_path: Path) -> None:
    state, losses = trained(vit, tmp_path)
    assert {name for name in state if name.startswith("visual.")} == {"visual.proj", "visual.ln_post.bias"}
    assert len(losses) == 6


def test_the_same_bits_twice_and_after_a_stop(vit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("once", "stopped"):
        (tmp_path / name).mkdir()
    state, losses = trained(vit, tmp_path / "once")
    steps, captions = [], lit_training._captions

    def stop(*arguments: Any) -> Any:
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return captions(*arguments)

    monkeypatch.setattr(lit_training, "_captions", stop)
    with pytest.raises(KeyboardInterrupt):
        trained(vit, tmp_path / "stopped")
    continued, log = trained(vit, tmp_path / "stopped")
    assert state.keys() == continued.keys()
    assert all(torch.equal(state[name], continued[name]) for name in state)
    assert log == losses


def test_words_come_to_fit_what_the_tower_sees(vit: Any, tmp_path: Path) -> None:
    _, losses = trained(vit, tmp_path, replace(RECIPE, steps=60, rate=5e-3))
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


@pytest.mark.parametrize("pictures", [100, 8])
def test_pictures_fill_chunks_and_a_batch(pictures: int) -> None:
    with pytest.raises(ValueError, match=f"pictures: {pictures} must be a multiple of 64"):
        LitRecipe(pictures=pictures)
