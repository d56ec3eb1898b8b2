"""What the small towers are trained on: pictures that are rendered when they are needed and never twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.random import PCG64, Generator, SeedSequence
from torch import Tensor

from promptreid.synthetic import BANDS, Identity, Shot, keyed, render_shot
from promptreid.synthetic.draws import shuffled, whole

FIRST_SEED = 90_000
FIRST_RENDERER = 1  # that ``mini_clip`` and ``mini_vit`` were trained on; visible pictures are the same in all of them
SIZE = (128, 64)
CAMERAS = 8  # at a time; pictures of one place teach not to look at the place
STEPS_PER_PLACE = 8
LUMA = (0.2989, 0.587, 0.114)  # of R, G, B
STRANGERS = 100_000  # the first id of those who are seen once
_STREAMS = {
    "photos": 64,
    "captions": 65,
    "people": 66,
    "colours": 67,
    "pairs": 68,
}  # behind those of the synthetic data sets


def check_seed(seed: int) -> None:
    """Refuse seeds whose people a data set may show.

    Raises:
        ValueError: below 90000.
    """
    if seed < FIRST_SEED:
        raise ValueError(
            f"seed: must be at least {FIRST_SEED}, not {seed}; smaller ones belong to the synthetic data sets, whose "
            "people the towers must not know"
        )


def generator(seed: int, stream: str, *key: int) -> Generator:
    """The generator of one thing in pretraining: ``stream`` is one of :data:`_STREAMS`."""
    return Generator(PCG64(SeedSequence((seed, _STREAMS[stream], *key))))


@lru_cache(maxsize=512)
def identity(seed: int, pid: int, renderer: int = FIRST_RENDERER) -> Identity:
    """The person whom :func:`render` shows under that seed and id."""
    return Identity.draw(keyed(seed, "identity", pid), renderer)


def _camera(rng: Generator, step: int) -> int:
    return step // STEPS_PER_PLACE * CAMERAS + whole(rng, 0, CAMERAS - 1)


def draw_strangers(seed: int, step: int, count: int, shares: dict[str, float]) -> list[Shot]:
    """The pictures of one step, each of another person, none of whom any other step shows.

    Args:
        seed: of the pretraining.
        step: 0-based.
        count: how many.
        shares: of each band; they sum to 1.
    """
    rng = generator(seed, "photos", step)
    levels = np.cumsum([shares.get(band, 0.0) for band in BANDS])
    shots = []
    for number in range(count):
        band = BANDS[min(int(np.searchsorted(levels, rng.random(), side="right")), len(BANDS) - 1)]
        shots.append(Shot("", STRANGERS + step * count + number, _camera(rng, step), 1, band))
    return shots


def draw_people(seed: int, step: int, people: int, images: int, among: int) -> list[Shot]:
    """The visible pictures of one step that show ``people`` of the ids below ``among``, ``images`` times each."""
    rng = generator(seed, "people", step)
    pids = shuffled(rng, range(among))[:people]
    frames = 1 + step * images
    return [Shot("", pid, _camera(rng, step), frames + n, "visible") for pid in pids for n in range(images)]


def render(shots: Sequence[Shot], seed: int, renderer: int = FIRST_RENDERER) -> Tensor:
    """The pictures, (B, 3, H, W) uint8; every camera has a place of its own."""
    pictures = [render_shot(shot, seed, shot.camera, SIZE, renderer=renderer) for shot in shots]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Colours:
    """What becomes of colours in training.

    Args:
        grey: share of pictures that keep one of R, G, B or their luma, each as likely, in all three channels (channel
            exchange, Ye et al., ICCV 2021).
        negative: share of these that are inverted, as in RandAugment (Cubuk et al., 2020).

    Raises:
        ValueError: a share outside 0 to 1.
    """

    grey: float = 0.0
    negative: float = 0.0

    def __post_init__(self) -> None:
        for name in ("grey", "negative"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: must be from 0 to 1, not {getattr(self, name)}")


COLOURS = Colours()


def recolour(pictures: Tensor, colours: Colours, rng: Generator) -> Tensor:
    """Pictures (B, 3, H, W) uint8 with the colours that training shows."""
    if not colours.grey:
        return pictures
    return torch.stack([_recoloured(picture, colours, rng) for picture in pictures])


# Not data.augmentations.ChannelExchange: that draws from torch's global generator, this from the step's own.
def _recoloured(picture: Tensor, colours: Colours, rng: Generator) -> Tensor:
    grey, negative, channel = rng.random(), rng.random(), whole(rng, 0, 3)
    if grey >= colours.grey:
        return picture
    level = picture[channel] if channel < len(LUMA) else _luma(picture)
    return (255 - level if negative < colours.negative else level).expand_as(picture)


def _luma(picture: Tensor) -> Tensor:
    weighted = sum(share * channel for share, channel in zip(LUMA, picture.float(), strict=True))
    assert isinstance(weighted, Tensor)
    return weighted.to(torch.uint8)


def normalise(pictures: Tensor) -> Tensor:
    """uint8 to float32 in [-1, 1], as mean 0.5 and standard deviation 0.5 do."""
    return pictures.float().div_(127.5).sub_(1.0)
