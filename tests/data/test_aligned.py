"""One draw for all modalities of a sample, or one for each."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from promptreid import host
from promptreid.data.aligned import choose_kept, named_steps, transform_aligned
from promptreid.data.transforms import ImageSettings, build_chain

HEIGHT, WIDTH = 48, 32
SETTINGS = ImageSettings(HEIGHT, WIDTH, [0.0] * 3, [1.0] * 3)
NAMES = ("visible", "near_infrared", "thermal_infrared")
# Red tells the row, green the column, and no value is near 0, so that black is what came from outside.
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
GRID = np.stack([3 * ROWS + 100, 4 * COLUMNS + 100, np.full_like(ROWS, 200)], axis=2).astype(np.uint8)
GEOMETRY = ["random_flip", "pad_crop", "pixel_erase"]
OURS = build_chain(GEOMETRY, SETTINGS)


def torchreids(*transforms: str) -> Callable[[Any], Tensor]:
    chain, _ = host.data.transforms.build_transforms(
        HEIGHT, WIDTH, transforms=list(transforms), norm_mean=[0.0] * 3, norm_std=[1.0] * 3
    )
    return chain


THEIRS = torchreids("random_flip", "random_crop", "random_erase")
IMAGES = {name: Image.fromarray(GRID) for name in NAMES}


def apply(chains: dict[str, Any], seed: int, images: dict[str, Image.Image] = IMAGES) -> list[Tensor]:
    return list(transform_aligned(images, chains, seed).values())


def independently(chain: Any, seed: int) -> list[Tensor]:
    random.seed(seed)
    torch.manual_seed(seed)
    return [chain(image) for image in IMAGES.values()]


def alike(tensors: list[Tensor]) -> bool:
    return all(torch.equal(tensor, tensors[0]) for tensor in tensors)


@pytest.mark.parametrize("chain", [OURS, THEIRS], ids=["ours", "torchreid's"])
def test_aligned_moves_all_images_by_the_same_pixels_and_independent_does_not(chain: Any) -> None:
    outputs = [apply(dict.fromkeys(NAMES, chain), seed) for seed in range(40)]
    assert all(map(alike, outputs))
    assert len({first.numpy().tobytes() for first, *_ in outputs}) > 25  # and in another way for the next sample
    assert not any(alike(independently(chain, seed)) for seed in range(20))


def test_images_of_any_size_are_moved_alike() -> None:
    sizes = dict(zip(NAMES, ((32, 48), (64, 96), (50, 70)), strict=True))
    images = {name: IMAGES[name].resize(size, Image.Resampling.BICUBIC) for name, size in sizes.items()}
    for seed in range(10):
        first, *others = apply(dict.fromkeys(NAMES, OURS), seed, images)
        for other in others:
            assert (first - other).abs().median() < 0.02
            assert torch.equal(first.amax(0) == 0, other.amax(0) == 0)  # the crop's black border


def test_further_steps_of_one_chain_move_nothing() -> None:
    longer = build_chain(["channel_exchange", "jitter", "random_flip", "blur", "pad_crop", "pixel_erase"], SETTINGS)
    chains = {"visible": longer, "near_infrared": OURS, "thermal_infrared": build_chain(GEOMETRY[:2], SETTINGS)}
    boxes = 0
    for seed in range(30):
        visible, near, thermal = apply(chains, seed)
        black = [tensor.amax(0) == 0 for tensor in (visible, near, thermal)]
        erased = (near != thermal).any(0)  # the one has the box and the other has not
        boxes += bool(erased.any())
        assert torch.equal(visible[:, erased], near[:, erased])
        for mask in black[:2]:
            assert torch.equal(mask & ~erased, black[2] & ~erased)
    assert 5 < boxes < 25


def test_steps_of_one_name_draw_for_themselves() -> None:
    twice = build_chain(["random_flip", "random_flip"], SETTINGS)
    flipped = Counter(torch.equal(apply({"visible": twice}, s, {"visible": IMAGES["visible"]})[0],
                                  build_chain([], SETTINGS)(IMAGES["visible"])) for s in range(100))  # fmt: skip
    assert 25 < flipped[True] < 75  # were both the same draw, every image would come out as it went in


def test_torchreids_flip_is_ours() -> None:
    chains = {"visible": build_chain(["random_flip"], SETTINGS), "near_infrared": torchreids("random_flip")}
    images = {name: IMAGES[name] for name in chains}
    outputs = [apply(chains, seed, images) for seed in range(20)]
    assert all(map(alike, outputs))
    assert len({first.numpy().tobytes() for first, _ in outputs}) == 2


def test_no_other_random_state_is_read_or_changed() -> None:
    def states() -> list[Any]:
        return [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    before = states()
    first = apply(dict.fromkeys(NAMES, THEIRS), 3)
    assert states() == before
    random.seed(2), np.random.seed(2), torch.manual_seed(2)
    assert all(map(torch.equal, apply(dict.fromkeys(NAMES, THEIRS), 3), first))


def test_steps_have_names() -> None:
    assert [name for name, _ in named_steps(OURS)] == ["resize", "random_flip", "pad_crop", "normalize", "pixel_erase"]
    names = [name for name, _ in named_steps(torchreids("random_flip", "random_patch"))]
    assert names == ["Resize", "random_flip", "RandomPatch", "ToTensor", "Normalize"]
    assert [name for name, _ in named_steps(torch.nn.Identity())] == ["Identity"]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("p", [0.3, 0.6])
def test_each_is_dropped_with_the_probability_and_one_stays(count: int, p: float) -> None:
    torch.manual_seed(0)
    names = list(NAMES[:count])
    drawn = [choose_kept(names, p) for _ in range(3000)]
    assert all(kept and [name for name in names if name in kept] == kept for kept in drawn)
    # The one that stays when all were drawn to go is each as likely.
    expected = 1 - p + p**count / count
    for name in names:
        assert abs(sum(name in kept for kept in drawn) / 3000 - expected) < 0.04


def test_without_dropping_nothing_is_drawn() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert choose_kept(list(NAMES), 0.0) == list(NAMES)
    assert torch.equal(torch.get_rng_state(), state)


def test_steps_of_different_names_draw_apart() -> None:
    chain = build_chain(["random_flip", "channel_grey"], SETTINGS)
    seen = set()
    for seed in range(40):
        image = apply({"visible": chain}, seed, {"visible": IMAGES["visible"]})[0]
        seen.add((bool(image[2, 0, 0] > image[2, 0, -1]) or bool(image[1, 0, 0] > image[1, 0, -1]),
                  torch.equal(image[0], image[1])))  # fmt: skip
    assert len(seen) >= 3
