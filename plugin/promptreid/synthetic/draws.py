"""Random draws that come out the same on every machine and in every order.

Each person, camera, frame and noise field has its own generator, keyed by what it is, so any image can be rendered
alone. Everything is made from ``Generator.random`` and ``bytes``, ``+ - * /`` and ``sqrt``: IEEE 754 makes those exact,
whereas ``exp`` or ``sin`` differ in the last bit between processors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

T = TypeVar("T")

STREAMS = ("tree", "identity", "camera", "scene", "frame", "noise", "dusk")


def keyed(seed: int, stream: str, *key: int) -> Generator:
    """The generator of one thing: ``stream`` says what it is, ``key`` which one (non-negative integers)."""
    return np.random.Generator(PCG64(SeedSequence((seed, STREAMS.index(stream), *key))))


def between(rng: Generator, low: float, high: float) -> float:
    """Uniform in [low, high)."""
    return low + (high - low) * rng.random()


def whole(rng: Generator, low: int, high: int) -> int:
    """Uniform over low, ..., high (both included)."""
    return low + int(rng.random() * (high - low + 1))


def pick(rng: Generator, options: Sequence[T]) -> T:
    """One of the options, each equally likely (repeat one to make it likelier)."""
    return options[int(rng.random() * len(options))]


def chance(rng: Generator, probability: float) -> bool:
    """True with that probability."""
    return rng.random() < probability


def shuffled(rng: Generator, items: Sequence[T]) -> list[T]:
    """The items in random order."""
    keys = rng.random(len(items))
    return [items[index] for index in np.argsort(keys, kind="stable")]
