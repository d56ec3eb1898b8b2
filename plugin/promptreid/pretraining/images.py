"""What the small towers are trained on: pictures that are rendered when they are needed and never twice."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.random import PCG64, Generator, SeedSequence
from torch import Tensor

from promptreid.datasets.synthetic import BANDS, Identity, Shot, keyed, render_shot
from promptreid.datasets.synthetic.draws import shuffled, whole

FIRST_SEED = 90_000
SIZE = (128, 64)
CAMERAS = 8  # at a time; pictures of one place teach not to look at the place
STEPS_PER_PLACE = 8
STRANGERS = 100_000  # the first id of those who are seen once
_STREAMS = {"photos": 64, "captions": 65, "people": 66}  # behind those of the synthetic data sets


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
    """The generator of one thing in pretraining: ``stream`` is ``photos``, ``captions`` or ``people``."""
    return Generator(PCG64(SeedSequence((seed, _STREAMS[stream], *key))))


@lru_cache(maxsize=512)
def identity(seed: int, pid: int) -> Identity:
    """The person whom :func:`render` shows under that seed and id."""
    return Identity.draw(keyed(seed, "identity", pid))


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


def render(shots: Sequence[Shot], seed: int) -> Tensor:
    """The pictures, (B, 3, H, W) uint8; every camera has a place of its own."""
    pictures = [render_shot(shot, seed, shot.camera, SIZE) for shot in shots]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def normalise(pictures: Tensor) -> Tensor:
    """uint8 to float32 in [-1, 1], as mean 0.5 and standard deviation 0.5 do."""
    return pictures.float().div_(127.5).sub_(1.0)
