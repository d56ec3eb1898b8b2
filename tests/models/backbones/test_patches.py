"""Patch features are those of a convolution in float32, whatever lies in memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from promptreid.models.backbones.patches import embed_patches


def soil_memory() -> None:
    """Leave NaN in the memory that the next tensors get."""
    for power in range(6, 20):
        torch.full((1 << power,), float("nan"), dtype=torch.bfloat16)


@pytest.mark.parametrize("by", ["autocast", "weights"])
@pytest.mark.parametrize("size", [(32, 16), (32, 19), (32, 20), (16, 16), (48, 32)])
@pytest.mark.parametrize("stride", [4, 12, 16])
def test_bfloat16_features_are_those_of_float32(size: tuple[int, int], stride: int, by: str) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 16, 16, stride, bias=by == "autocast")
    images = torch.randn(8, 3, *size)
    expected = F.conv2d(images, conv.weight, conv.bias, stride)
    if by == "weights":
        conv, images = conv.bfloat16(), images.bfloat16()
    for _ in range(3):
        soil_memory()
        with torch.autocast("cpu", torch.bfloat16, enabled=by == "autocast"):
            found = embed_patches(conv, images)
        assert found.dtype == torch.bfloat16
        assert torch.allclose(found.float(), expected, atol=0.02, rtol=0.02)
    found.float().sum().backward()
    assert conv.weight.grad is not None and torch.isfinite(conv.weight.grad).all()


def test_float32_is_the_convolution_itself() -> None:
    conv, images = nn.Conv2d(3, 16, 16, 4), torch.randn(2, 3, 32, 16)
    assert torch.equal(embed_patches(conv, images), conv(images))
