"""The convolution that turns an image into patch tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from promptreid.models.precision import HALF


def embed_patches(conv: nn.Conv2d, images: Tensor) -> Tensor:
    """Patch features (B, D, rows, columns) of images (B, C, H, W).

    Overlapping patches in a single column are computed in float32 on a CPU: there oneDNN's bfloat16 convolution
    (torch 2.13, processors with AMX) reads memory that nobody wrote, and its features differ from call to call.
    """
    half = _half_precision(conv, images)
    if (
        half is None
        or images.shape[-1] >= conv.kernel_size[1] + conv.stride[1]
        or conv.stride[0] >= conv.kernel_size[0]
    ):
        return conv(images)
    with torch.autocast("cpu", enabled=False):
        bias = None if conv.bias is None else conv.bias.float()
        return F.conv2d(images.float(), conv.weight.float(), bias, conv.stride).to(half)


def _half_precision(conv: nn.Conv2d, images: Tensor) -> torch.dtype | None:
    """The half precision in which a CPU would compute this; None elsewhere."""
    if images.device.type != "cpu":
        return None
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu")
    return conv.weight.dtype if conv.weight.dtype in HALF else None
