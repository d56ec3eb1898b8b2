"""The transforms of the field that torchvision lacks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad
from torchvision.transforms.v2 import functional as F

_GREY = 3  # beside the channels 0, 1, 2


class ChannelExchange(nn.Module):
    """Put one of R, G, B or their luma, each as likely, into all three channels.

    What is left has the structure of the image and no colour, as an infrared image has (channel exchange of CAJ, Ye et
    al., ICCV 2021). Takes a PIL image or a (3, H, W) tensor, also a normalised one, and returns the same kind.

    Args:
        p: probability, 0 to 1.
    """

    def __init__(self, p: float = 1.0) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p {p} must be from 0 to 1")
        self.p = p

    def forward(self, image: Any) -> Any:
        if torch.rand(()) >= self.p:
            return image
        channel = int(torch.randint(_GREY + 1, ()))
        if channel == _GREY:
            return F.rgb_to_grayscale(image, num_output_channels=3)
        return F.permute_channels(image, [channel] * 3)


class CajExchange(nn.Module):
    """Put R, G or B, each as likely, into all three channels.

    What CAJ's released code (Ye et al., ICCV 2021) makes of the second copy of a visible image. Takes a PIL image or a
    (3, H, W) tensor, also a normalised one, and returns the same kind.
    """

    def forward(self, image: Any) -> Any:
        return F.permute_channels(image, [int(torch.randint(_GREY, ()))] * 3)


class CajGrey(nn.Module):
    """R, G or B in all three channels, a quarter of the time each, luma or no change, an eighth each.

    What CAJ's released code makes of an infrared image; otherwise like :class:`CajExchange`.
    """

    def forward(self, image: Any) -> Any:
        draw = int(torch.randint(8, ()))
        if draw < 6:
            return F.permute_channels(image, [draw // 2] * 3)
        return F.rgb_to_grayscale(image, num_output_channels=3) if draw == 6 else image


class CajErase(nn.Module):
    """Half of the time, fill one box with a constant per channel, as CAJ's released code draws it.

    The area is uniform in [0.02, 0.4] of the image and the ratio of height to width uniform in [0.3, 1 / 0.3], where
    torchvision's ``RandomErasing`` draws the ratio's logarithm. Up to a hundred boxes are drawn until one is smaller
    than the image both ways. Takes and returns a (3, H, W) tensor.

    Args:
        value: per channel, as it stands in the result.
    """

    AREA, RATIO, ATTEMPTS = (0.02, 0.4), (0.3, 1 / 0.3), 100

    def __init__(self, value: tuple[float, float, float]) -> None:
        super().__init__()
        self.value = value

    def forward(self, image: Tensor) -> Tensor:
        if torch.rand(()) >= 0.5:
            return image
        height, width = image.shape[-2:]
        for _ in range(self.ATTEMPTS):
            area = height * width * _uniform(*self.AREA)
            ratio = _uniform(*self.RATIO)
            rows, columns = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
            if rows < height and columns < width:
                top, left = (int(torch.randint(end + 1, ())) for end in (height - rows, width - columns))
                image = image.clone()
                box = image[..., top : top + rows, left : left + columns]
                box.copy_(torch.tensor(self.value, dtype=image.dtype)[:, None, None].expand_as(box))
                return image
        return image


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


class SeparableBlur(nn.Module):
    """``torchvision.transforms.v2.GaussianBlur`` for PIL images, as one pass along each axis.

    torchvision convolves with the whole kernel, 441 products per pixel for 21 x 21 instead of 42. The result differs
    by at most one grey level, in the few pixels where rounding falls the other way.

    Args:
        kernel_size: odd, in pixels; image sides are larger than half of it.
        sigma: range of the standard deviation, in pixels, drawn uniformly.
    """

    def __init__(self, kernel_size: int, sigma: tuple[float, float]) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0 or not 0 < sigma[0] <= sigma[1]:
            raise ValueError(f"kernel_size {kernel_size} must be odd, and sigma {sigma} a range above 0")
        self.kernel_size, self.sigma = kernel_size, sigma

    def forward(self, image: Image.Image) -> Image.Image:
        sigma = torch.empty(1).uniform_(*self.sigma)
        half = self.kernel_size // 2
        kernel = torch.exp(-0.5 * (torch.arange(-half, half + 1) / sigma) ** 2)
        kernel /= kernel.sum()
        pixels = F.pil_to_tensor(image).float()[:, None]
        padded = pad(pixels, [half] * 4, mode="reflect")
        rows = conv2d(padded, kernel.view(1, 1, -1, 1))
        blurred = conv2d(rows, kernel.view(1, 1, 1, -1))[:, 0]
        picture: Image.Image = F.to_pil_image(blurred.round().to(torch.uint8))
        return picture


class ToFloatTensor(nn.Module):
    """A PIL image as a contiguous (3, H, W) float32 tensor in [0, 1].

    torchvision's v2 multiplies by 1/255 where v1, and with it torchreid, divides by 255: the last bit differs. This
    divides, so that a chain of ours and one of torchreid's give the same numbers.
    """

    def forward(self, image: Image.Image) -> Tensor:
        pixels: Tensor = F.pil_to_tensor(image)
        return pixels.contiguous().to(torch.float32).div(255)


def seed_generators(seed: int) -> None:
    """Let Python, NumPy and torch's CPU draw from ``seed`` (32 bit) from here on."""
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)


@contextmanager
def random_state_of(seed: int | None) -> Iterator[None]:
    """Within the block, Python, NumPy and torch's CPU draw from ``seed``; afterwards they go on as before.

    None: nothing is changed.
    """
    if seed is None:
        yield
        return
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        seed_generators(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
