from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from promptreid.models.mip import MIP, build_mip

sys.path.append(str(Path(__file__).parent))  # for the helper modules of this folder

TINY_VIT = {"depth": 4, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)}
PEOPLE, CAMERAS = 7, 6


@pytest.fixture
def tiny_mip() -> Callable[..., MIP]:
    """Builds a MIP with four blocks of 32 channels, without dropout unless asked for."""

    def build(loss: str = "prompt", seed: int = 0, **settings: Any) -> MIP:
        torch.manual_seed(seed)
        vit = {**TINY_VIT, **settings.pop("vit", {})}
        settings = {"stride": 6, "drop_path": 0.0, "cameras": CAMERAS, **settings}
        return build_mip(PEOPLE, loss, pretrained=False, vit=vit, **settings)

    return build


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Six images of 64 x 32, three of either modality."""
    return make_batch(6, 64, 32)


def make_batch(size: int, height: int, width: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "images": torch.randn(size, 1, 3, height, width, generator=generator),
        "modality": (torch.arange(size) % 2)[:, None],
        "camera": torch.arange(size) % CAMERAS,
        "present": torch.ones(size, 1, dtype=torch.bool),
    }
