from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import ToTensor
from torchvision.transforms.v2 import GaussianBlur
from torchvision.transforms.v2.functional import rgb_to_grayscale

from promptreid.data.augmentations import (
    CajErase,
    CajExchange,
    CajGrey,
    ChannelExchange,
    SeparableBlur,
    ToFloatTensor,
    random_state_of,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 8, 3), dtype=np.uint8)


def draws() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(()))]


def sources(image: torch.Tensor, count: int, exchange: torch.nn.Module | None = None) -> list[int]:
    """Which channel (3: grey, 4: none, unchanged) each of ``count`` exchanges of ``image`` took."""
    grey = rgb_to_grayscale(image, num_output_channels=3)
    candidates = [*(image[c].expand_as(image) for c in range(3)), grey, image]
    exchange = exchange or ChannelExchange()
    taken = []
    for _ in range(count):
        out = exchange(image)
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


@pytest.mark.parametrize(
    ("exchange", "shares"),
    [(CajExchange(), (1 / 3, 1 / 3, 1 / 3, 0, 0)), (CajGrey(), (1 / 4, 1 / 4, 1 / 4, 1 / 8, 1 / 8))],
    ids=["exchange", "grey"],
)
def test_cajs_exchanges_take_each_source_as_often_as_the_release(
    exchange: torch.nn.Module, shares: tuple[float, ...]
) -> None:
    torch.manual_seed(0)
    counts = np.bincount(sources(torch.randn(3, 6, 4), 2400, exchange), minlength=5) / 2400
    assert abs(counts - shares).max() < 0.035  # more than three standard deviations
    assert all((count == 0) == (share == 0) for count, share in zip(counts, shares, strict=True))


def test_cajs_exchanges_take_pictures_too() -> None:
    for exchange in (CajExchange(), CajGrey()):
        pictures = [np.asarray(exchange(Image.fromarray(PIXELS))) for _ in range(60)]
        assert all((p == p[..., :1]).all() or (p == PIXELS).all() for p in pictures)
        assert {p.shape for p in pictures} == {PIXELS.shape}


FILL = (0.1, 0.2, 0.3)


def boxes(size: tuple[int, int], count: int) -> list[tuple[int, int, int, int] | None]:
    """Height, width, top and left of the box of each erasing; None where there is none."""
    found: list[tuple[int, int, int, int] | None] = []
    erase = CajErase(FILL)
    for _ in range(count):
        image = torch.full((3, *size), 7.0)
        out = erase(image)
        assert (image == 7).all()
        rows, columns = (torch.where((out[0] != 7).any(axis))[0].tolist() for axis in (1, 0))
        if not rows:
            found.append(None)
            continue
        box = out[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert torch.equal(box, torch.tensor(FILL)[:, None, None].expand_as(box))
        assert (out == 7).sum() == out.numel() - box.numel()
        found.append((*box.shape[1:], rows[0], columns[0]))
    return found


def test_cajs_erasing_draws_area_and_aspect_uniformly() -> None:
    """Against a literal twin: in a square most boxes fit, so the ratio's mean is that of the fitting ones."""
    torch.manual_seed(0)
    random.seed(0)
    found = boxes((100, 100), 3000)
    drawn = [box for box in found if box is not None]
    assert abs(len(drawn) / 3000 - 0.5) < 0.03
    expected = []
    while len(expected) < 20000:
        area, ratio = random.uniform(0.02, 0.4) * 10000, random.uniform(0.3, 1 / 0.3)
        if round((area * ratio) ** 0.5) < 100 and round((area / ratio) ** 0.5) < 100:
            expected.append((area / 10000, ratio))
    areas = [height * width / 10000 for height, width, *_ in drawn]
    ratios = [height / width for height, width, *_ in drawn]
    for values, wanted in ((areas, [area for area, _ in expected]), (ratios, [ratio for _, ratio in expected])):
        for quantile in (0.1, 0.25, 0.5, 0.75, 0.9):
            spread = np.quantile(wanted, 0.9) - np.quantile(wanted, 0.1)
            assert np.quantile(values, quantile) == pytest.approx(np.quantile(wanted, quantile), abs=0.06 * spread)
    # Log-uniformly half of the ratios would be below 1; uniformly nearly four fifths are above.
    assert np.mean(np.array(ratios) > 1) > 0.7
    assert max(top + height for height, _, top, _ in drawn) == 100
    assert max(left + width for _, width, _, left in drawn) == 100


def test_cajs_erasing_tries_a_hundred_boxes() -> None:
    """In a narrow image one box in seven fits: ten attempts would leave a fifth of the images alone, a hundred none."""
    torch.manual_seed(1)
    fitting = []
    for _ in range(4000):
        area, ratio = random.uniform(0.02, 0.4) * 200 * 14, random.uniform(0.3, 1 / 0.3)
        fitting.append(round((area / ratio) ** 0.5) < 14)
    share = np.mean(fitting)
    assert (1 - share) ** 10 > 0.02, "else this test says nothing"
    kept = np.mean([box is None for box in boxes((200, 14), 2000)])
    assert abs(kept - 0.5) < 0.035


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
