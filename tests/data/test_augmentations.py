from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import ToTensor
from torchvision.transforms.v2 import GaussianBlur
from torchvision.transforms.v2.functional import rgb_to_grayscale

from promptreid.data.augmentations import ChannelExchange, SeparableBlur, ToFloatTensor, random_state_of

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 8, 3), dtype=np.uint8)


def draws() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(()))]


def sources(image: torch.Tensor, count: int) -> list[int]:
    """Which channel (3: grey) each of ``count`` exchanges of ``image`` took."""
    candidates = [image[c].expand_as(image) for c in range(3)] + [rgb_to_grayscale(image, num_output_channels=3)]
    taken = []
    for _ in range(count):
        out = ChannelExchange()(image)
        taken.append(next(c for c, candidate in enumerate(candidates) if torch.equal(out, candidate)))
    return taken


def test_channel_exchange_takes_each_source_equally_often() -> None:
    torch.manual_seed(0)
    counts = np.bincount(sources(torch.randn(3, 6, 4), 400), minlength=4)
    assert (abs(counts - 100) < 35).all()


def test_channel_exchange_of_a_picture_is_that_of_its_tensor() -> None:
    image = Image.fromarray(PIXELS)
    for seed in range(8):
        torch.manual_seed(seed)
        picture = np.asarray(ChannelExchange()(image))
        torch.manual_seed(seed)
        tensor = ChannelExchange()(torch.from_numpy(PIXELS.copy()).permute(2, 0, 1)).permute(1, 2, 0).numpy()
        assert picture.shape == PIXELS.shape
        assert abs(picture.astype(int) - tensor).max() <= 1  # Pillow rounds its luma otherwise
        assert (picture == picture[..., :1]).all()


def test_channel_exchange_has_a_probability() -> None:
    image = torch.randn(3, 4, 4)
    torch.manual_seed(1)
    kept = sum(torch.equal(ChannelExchange(0.3)(image), image) for _ in range(400))
    assert 240 < kept < 320
    with pytest.raises(ValueError, match=r"p 1\.5"):
        ChannelExchange(1.5)


@pytest.mark.parametrize("seed", range(6))
def test_separable_blur_is_torchvisions(seed: int) -> None:
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 24, 3), dtype=np.uint8))
    torch.manual_seed(seed)
    ours = np.asarray(SeparableBlur(21, (0.1, 3.0))(image)).astype(int)
    torch.manual_seed(seed)
    theirs = np.asarray(GaussianBlur(21, (0.1, 3.0))(image)).astype(int)
    assert abs(ours - theirs).max() <= 1
    assert (ours != theirs).mean() < 0.002


@pytest.mark.parametrize("arguments", [(20, (0.1, 3.0)), (0, (0.1, 3.0)), (21, (0.0, 3.0)), (21, (3.0, 1.0))])
def test_separable_blur_refuses(arguments: tuple[int, tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="kernel_size"):
        SeparableBlur(*arguments)


def test_to_float_tensor_is_torchreids_to_the_last_bit() -> None:
    tensor = ToFloatTensor()(Image.fromarray(PIXELS))
    assert tensor.is_contiguous()
    assert torch.equal(tensor, ToTensor()(Image.fromarray(PIXELS)))


def test_a_seed_decides_what_is_drawn_and_leaves_no_trace() -> None:
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    expected = draws()
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    with random_state_of(5):
        first = draws()
    with pytest.raises(KeyError), random_state_of(5):
        assert draws() == first
        raise KeyError
    with random_state_of(6):
        assert not set(draws()) & set(first)
    assert draws() == expected


def test_without_a_seed_nothing_is_changed() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with random_state_of(None):
        assert torch.rand(()) == expected[0]
    assert torch.rand(()) == expected[1]
