"""Bootstrap over three levels: worlds (data sets), trainings in each of them, and the queries of each.

Two rows of a table have the same worlds, seeds and queries, so their difference is taken query by query, and what makes
a world or a query easy cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from promptreid.evaluation.statistics.bootstrap import Interval

SAMPLES = 4000
LEVEL = 0.95
_NORMAL = 1.959964  # standard deviations to either side that hold 95 % of a normal distribution
_CHUNK_ELEMENTS = 1 << 22


@dataclass(frozen=True, eq=False)
class World:
    """The outcomes in one world. A query may have been ranked in several trials.

    Attributes:
        sums: (R, S, Q) for each of R rows, S seeds and Q queries, the sum of its average precisions over the trials.
        trials: (Q,) in how many trials each query counts, at least one.

    Raises:
        ValueError: arrays of other shapes, or without an entry.
    """

    sums: np.ndarray
    trials: np.ndarray

    def __post_init__(self) -> None:
        if self.sums.ndim != 3 or not self.sums.size or self.sums.shape[2:] != self.trials.shape:
            raise ValueError(
                f"sums, trials: shapes {self.sums.shape} and {self.trials.shape}; expected (rows, seeds, queries) and "
                "(queries,), none of them 0"
            )
        if self.trials.min() < 1:
            raise ValueError("trials: a query that counts in no trial; leave it out")

    def means(self) -> np.ndarray:
        """(R, S) the mean of each training over all queries and trials."""
        means: np.ndarray = self.sums.sum(axis=2) / self.trials.sum()
        return means


@dataclass(frozen=True)
class Effect:
    """What a row gains over another, as a fraction of mAP.

    Attributes:
        difference: mean over the worlds of the mean over the seeds.
        interval: of it.
        pairs: (world, seed) pairs that it rests on.
        needed: pairs, of as many seeds in each world, that would bring half of the interval's width down to what was
            asked for; None where one pair says nothing of the spread.
    """

    difference: float
    interval: Interval
    pairs: int
    needed: int | None

    @property
    def verdict(self) -> str:
        """``helps`` or ``hurts`` where the whole interval is on one side of zero, or else ``undecided``."""
        if self.interval.low > 0:
            return "helps"
        return "hurts" if self.interval.high < 0 else "undecided"


def hierarchical_means(worlds: Sequence[World], samples: int = SAMPLES, seed: int = 0) -> np.ndarray:
    """(samples, R) bootstrap means of R rows, all of them drawn alike.

    In each sample as many worlds as there are are drawn with replacement; in each drawn world as many of its seeds, and
    as many of its queries, which all drawn seeds and all rows share. A query brings all of its trials.

    Args:
        worlds: at least one, all with the same number of rows and seeds.
        samples: bootstrap samples, at least one.
        seed: of the drawing.

    Raises:
        ValueError: no world, worlds of different rows or seeds, or no sample.
    """
    shapes = {world.sums.shape[:2] for world in worlds}
    if len(shapes) != 1 or samples < 1:
        raise ValueError(
            f"worlds, samples: {len(worlds)} worlds of (rows, seeds) {sorted(shapes)}, {samples} samples; expected at "
            "least one of each, and worlds alike"
        )
    random = np.random.default_rng(seed)
    chosen = random.integers(len(worlds), size=(samples, len(worlds)))
    totals = np.zeros((samples, *next(iter(shapes))[:1]))
    for number, world in enumerate(worlds):
        sample = np.nonzero(chosen == number)[0]
        step = max(1, _CHUNK_ELEMENTS // len(world.trials))
        for start in range(0, len(sample), step):
            part = sample[start : start + step]
            np.add.at(totals, part, _drawn_means(world, len(part), random))
    return totals / len(worlds)


def effects(
    worlds: Sequence[World],
    pairs: Sequence[tuple[int, int]],
    *,
    half_width: float = 0.005,
    samples: int = SAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> list[Effect]:
    """What rows gain over others, with percentile intervals of :func:`hierarchical_means`.

    Args:
        worlds: as there.
        pairs: numbers of a row and of the one that it is compared with.
        half_width: of an interval, for :attr:`Effect.needed`; 0.005 is half a point of mAP.
        samples, seed: as there.
        level: confidence level between 0 and 1.

    Raises:
        ValueError: as there, or an argument out of range.
    """
    if not 0 < level < 1 or half_width <= 0:
        raise ValueError(f"level, half_width: {level}, {half_width}; expected a number between 0 and 1, and above 0")
    drawn = hierarchical_means(worlds, samples, seed)
    means = np.stack([world.means() for world in worlds])  # (W, R, S)
    found = []
    for row, other in pairs:
        gains = means[:, row] - means[:, other]
        low, high = np.quantile(drawn[:, row] - drawn[:, other], [(1 - level) / 2, (1 + level) / 2])
        interval = Interval(float(low), float(high))
        found.append(Effect(float(gains.mean()), interval, gains.size, needed_pairs(gains, half_width)))
    return found


def needed_pairs(gains: np.ndarray, half_width: float) -> int | None:
    """How many (world, seed) pairs bring a 95 % interval of the mean gain down to ``half_width`` on either side.

    By the spread of the worlds' means where there are several worlds, so that each further world has as many seeds; by
    the spread of the seeds in a single one. None for one pair, which has no spread.

    Args:
        gains: (W, S) of each world and seed.
        half_width: above 0, in the unit of ``gains``.
    """
    worlds, seeds = gains.shape
    if gains.size == 1:
        return None
    units, each = (gains.mean(axis=1), seeds) if worlds > 1 else (gains[0], 1)
    return max(1, math.ceil((_NORMAL * float(units.std(ddof=1)) / half_width) ** 2 - 1e-9)) * each


def _drawn_means(world: World, count: int, random: np.random.Generator) -> np.ndarray:
    """(count, R) means of a world whose seeds and queries were drawn anew each time."""
    rows, seeds, queries = world.sums.shape
    of_seeds, of_queries = (_counts(count, number, random) for number in (seeds, queries))
    totals = (of_queries @ world.sums.reshape(rows * seeds, queries).T).reshape(count, rows, seeds)
    weights = of_seeds / (seeds * (of_queries @ world.trials))[:, None]
    means: np.ndarray = np.einsum("nrs,ns->nr", totals, weights)
    return means


def _counts(count: int, units: int, random: np.random.Generator) -> np.ndarray:
    """(count, units) how often each unit came in as many draws with replacement."""
    drawn = random.integers(units, size=(count, units)) + units * np.arange(count)[:, None]
    return np.bincount(drawn.ravel(), minlength=count * units).reshape(count, units).astype(float)
