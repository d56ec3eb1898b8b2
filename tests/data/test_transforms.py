from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import rgb_to_grayscale

from promptreid import host
from promptreid.config.own_keys import AUGMENTATIONS
from promptreid.config.own_keys import INTERPOLATIONS as NAMES
from promptreid.config.sections import all_keys
from promptreid.data.transforms import (
    AFTER_NORMALIZE,
    BEFORE_NORMALIZE,
    EXCHANGES,
    INTERPOLATIONS,
    TRANSFORMS,
    Augmentation,
    ImageSettings,
    build_chain,
)

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
SETTINGS = ImageSettings(64, 32, MEAN, STD)
RELEASED = ["random_flip", "pad_crop", "jitter_or_blur", "pixel_erase", "random_grey"]
PICTURE = Image.fromarray(np.random.default_rng(0).integers(1, 256, (80, 44, 3), dtype=np.uint8))
PLAIN: Tensor = build_chain([], SETTINGS)(PICTURE)
LOW = -np.array(MEAN) / STD
HIGH = (1 - np.array(MEAN)) / STD


def run(name: str, seed: int = 0, count: int = 1) -> list[Tensor]:
    chain = build_chain([name], SETTINGS)
    torch.manual_seed(seed)
    return [chain(PICTURE) for _ in range(count)]


def share(outputs: list[Tensor], test: Callable[[Tensor], bool]) -> float:
    return sum(map(test, outputs)) / len(outputs)


def is_plain(image: Tensor) -> bool:
    return torch.equal(image, PLAIN)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_gives_a_float_image_of_the_size_and_follows_torchs_seed(name: str) -> None:
    first, again, other = run(name, 1, 20), run(name, 1, 20), run(name, 2, 20)
    for image in first:
        assert (type(image), image.shape, image.dtype) == (Tensor, (3, 64, 32), torch.float32)
        assert image.isfinite().all()
    assert all(map(torch.equal, first, again))
    if name not in ("resize", "normalize"):
        assert not all(map(torch.equal, first, other))


@pytest.mark.parametrize("name", sorted(set(TRANSFORMS) - AFTER_NORMALIZE))
def test_pixels_stay_in_range(name: str) -> None:
    for image in run(name, 3, 10):
        assert (image.amin((1, 2)).numpy() >= LOW - 1e-5).all()
        assert (image.amax((1, 2)).numpy() <= HIGH + 1e-5).all()


def test_without_names_it_is_torchreids_test_transform() -> None:
    _, theirs = host.data.transforms.build_transforms(64, 32, norm_mean=MEAN, norm_std=STD)
    assert torch.equal(PLAIN, theirs(PICTURE))


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_resizes_with_the_filter(interpolation: str) -> None:
    settings = ImageSettings(64, 32, [0, 0, 0], [1, 1, 1], interpolation)
    expected = np.asarray(PICTURE.resize((32, 64), Image.Resampling[interpolation.upper()]))
    assert (build_chain([], settings)(PICTURE).mul(255).round().permute(1, 2, 0).numpy() == expected).all()


def test_random_flip() -> None:
    outputs = run("random_flip", count=300)
    mirrored = share(outputs, lambda image: torch.equal(image, PLAIN.flip(2)))
    assert 0.4 < mirrored < 0.6
    assert mirrored + share(outputs, is_plain) == 1


def test_pad_crop_moves_by_up_to_ten_pixels_over_black() -> None:
    black = torch.tensor(LOW, dtype=torch.float32)[:, None, None]
    padded = black.repeat(1, 84, 52)
    padded[:, 10:74, 10:42] = PLAIN
    windows = padded.unfold(1, 64, 1).unfold(2, 32, 1)  # (3, 21, 21, 64, 32)
    places = set()
    for image in run("pad_crop", count=100):
        near = ((windows - image[:, None, None]).abs().amax((0, 3, 4)) < 1e-5).nonzero().tolist()
        assert len(near) == 1
        places.add(tuple(near[0]))
    assert {0, 20} <= {x for _, x in places} or {0, 20} <= {y for y, _ in places}
    assert len(places) > 60


def test_jitter_changes_brightness_both_ways() -> None:
    means = [float(image.mean()) - float(PLAIN.mean()) for image in run("jitter", count=60)]
    assert min(means) < -0.2
    assert max(means) > 0.1
    assert max(map(abs, means)) < 1.0


def test_blur_smooths_without_changing_the_mean() -> None:
    for image in run("blur", count=20):
        assert abs(float(image.mean() - PLAIN.mean())) < 0.1
        assert image.std() <= PLAIN.std() + 1e-6


def test_jitter_or_blur_is_one_of_the_two() -> None:
    def rough(image: Tensor) -> bool:
        return float(image.diff(dim=2).abs().mean() / image.std()) > 0.7

    assert all(map(rough, run("jitter", count=30)))
    assert 0.2 < share(run("jitter_or_blur", count=150), rough) < 0.75


@pytest.mark.parametrize(("name", "expected"), [("random_grey", 0.5), ("channel_grey", 0.5), ("channel_exchange", 1.0)])
def test_grey_ones_have_a_probability(name: str, expected: float) -> None:
    equal_mean_std = ImageSettings(64, 32, [0.5] * 3, [0.5] * 3)
    chain = build_chain([name], equal_mean_std)
    torch.manual_seed(0)
    outputs = [chain(PICTURE) for _ in range(300)]
    grey = share(outputs, lambda image: torch.equal(image[0], image[1]) and torch.equal(image[1], image[2]))
    assert abs(grey - expected) < 0.1


@pytest.mark.parametrize(("name", "largest"), [("pixel_erase", 1 / 3), ("channel_erase", 0.4)])
def test_erasing_changes_one_box(name: str, largest: float) -> None:
    outputs = run(name, count=300)
    assert 0.4 < share(outputs, is_plain) < 0.6
    for image in outputs:
        changed = (image != PLAIN).all(0)
        rows, columns = changed.any(1), changed.any(0)
        area = int(rows.sum() * columns.sum())
        assert int(changed.sum()) == area  # a full rectangle
        assert area <= (largest + 0.05) * 64 * 32
        if not area:
            continue
        box = image[:, changed]
        if name == "channel_erase":
            assert torch.equal(box, torch.tensor([0.4914, 0.4822, 0.4465])[:, None].expand_as(box))
        elif area > 200:
            assert abs(float(box.mean())) < 0.25
            assert 0.8 < float(box.std()) < 1.2


def test_the_released_chain_turns_noise_grey_too() -> None:
    chain = build_chain(RELEASED, ImageSettings(64, 32, [0.5] * 3, [0.5] * 3, "bicubic"))
    torch.manual_seed(0)
    outputs = [chain(PICTURE) for _ in range(60)]
    grey = [image for image in outputs if torch.equal(image[0], image[2])]
    assert 20 < len(grey) < 40
    # Pixels end at 1 after this normalisation, so anything beyond is erasing noise.
    assert any(image.max() > 1.2 for image in grey)


def test_random_grey_before_normalize_is_that_of_the_picture() -> None:
    chain = build_chain(["random_grey", "normalize"], SETTINGS)
    torch.manual_seed(0)
    expected = build_chain([], SETTINGS)(rgb_to_grayscale(PICTURE.resize((32, 64), Image.Resampling.BILINEAR), 3))
    assert any(torch.equal(chain(PICTURE), expected) for _ in range(20))


def test_an_image_of_the_size_is_not_resized_again() -> None:
    small = PICTURE.resize((32, 64), Image.Resampling.BILINEAR)
    for names in ([], ["resize"]):
        assert torch.equal(build_chain(names, SETTINGS)(small), PLAIN)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["random_flip", "random_gray"], "unknown transform 'random_gray'; did you mean 'random_grey'?"),
        (["pixel_erase", "jitter"], "jitter needs values that aren't normalised yet"),
        (["normalize", "pad_crop"], "pad_crop needs values that aren't normalised yet"),
        (["pixel_erase", "normalize"], "pixel_erase needs normalised values: move it behind normalize"),
        (["normalize", "random_grey", "normalize"], "normalize stands twice"),
    ],
)
def test_impossible_chains_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        build_chain(names, SETTINGS)
    assert message in str(caught.value)


@pytest.mark.parametrize("wrong", [{"interpolation": "bicubic"}, {"interpolation": "bicubic", "visible": ("blur",)}])
def test_a_filter_needs_both_chains(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"data\.augment\.interpolation bicubic"):
        Augmentation(**wrong)
    Augmentation(visible=("blur",), infrared=("blur",), interpolation="bicubic")


def test_an_unknown_filter_is_refused() -> None:
    with pytest.raises(ValueError, match=r"interpolation 'bicubik' is none of .*did you mean 'bicubic'"):
        ImageSettings(64, 32, MEAN, STD, "bicubik")


def test_the_configuration_has_the_same_names() -> None:
    assert tuple(TRANSFORMS) == AUGMENTATIONS
    assert NAMES == INTERPOLATIONS
    assert set(TRANSFORMS) >= BEFORE_NORMALIZE | AFTER_NORMALIZE


def test_the_exchange_of_a_second_copy_is_checked() -> None:
    with pytest.raises(
        ValueError, match=r"data\.augment\.second_exchange 'blur' is none of channel_exchange, caj_exch"
    ):
        Augmentation(second_visible=True, second_exchange="blur")
    with pytest.raises(
        ValueError, match=r"data\.augment\.second_exchange caj_exchange changes nothing .*second_visible True"
    ):
        Augmentation(second_exchange="caj_exchange")
    assert all_keys()["data.augment.second_exchange"].choices == EXCHANGES
