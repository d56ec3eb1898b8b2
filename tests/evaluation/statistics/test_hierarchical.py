"""Effects with intervals over worlds, seeds and queries: an exhaustive twin, properties, coverage."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreid.evaluation.statistics.bootstrap import Interval
from promptreid.evaluation.statistics.hierarchical import Effect, World, effects, hierarchical_means, needed_pairs


def worlds_of(seed: int, rows: int = 2, worlds: int = 3, seeds: int = 2, queries: int = 5) -> list[World]:
    random = np.random.default_rng(seed)
    trials = [random.integers(1, 4, queries) for _ in range(worlds)]
    return [World(random.random((rows, seeds, queries)) * count, count) for count in trials]


def every_mean(worlds: list[World], row: int) -> np.ndarray:
    """The twin: what every possible drawing gives, all of them equally likely."""
    by_world = []
    for world in worlds:
        _, seeds, queries = world.sums.shape
        for drawn in product(range(seeds), repeat=seeds):
            for asked in product(range(queries), repeat=queries):
                total = sum(world.sums[row, seed, query] for seed in drawn for query in asked)
                by_world.append(total / (seeds * sum(world.trials[query] for query in asked)))
    return np.array([np.mean(slots) for slots in product(by_world, repeat=len(worlds))])


def test_the_drawing_is_that_of_the_exhaustive_twin() -> None:
    worlds = worlds_of(4, worlds=2, queries=2)
    drawn = hierarchical_means(worlds, samples=40_000)
    for row in range(2):
        exact = every_mean(worlds, row)
        assert len(exact) == 32**2
        assert drawn[:, row].mean() == pytest.approx(exact.mean(), abs=0.005)
        assert drawn[:, row].std() == pytest.approx(exact.std(), rel=0.03)
        for level in (0.05, 0.3, 0.7, 0.95):
            assert (drawn[:, row] <= np.quantile(exact, level)).mean() == pytest.approx(level, abs=0.03)


def test_one_query_of_one_seed_in_one_world_is_known_exactly() -> None:
    (effect,) = effects([World(np.array([[[0.25]], [[1.5]]]), np.array([3]))], [(1, 0)])
    assert effect.difference == pytest.approx(1.25 / 3)
    assert effect.interval == pytest.approx((1.25 / 3, 1.25 / 3))
    assert (effect.pairs, effect.needed, effect.verdict) == (1, None, "helps")


def test_queries_count_by_their_trials() -> None:
    world = World(np.array([[[3.0, 0.0]], [[0.0, 0.0]]]), np.array([3, 1]))
    assert world.means()[:, 0].tolist() == [0.75, 0.0]
    assert effects([world], [(0, 1)])[0].difference == 0.75


@given(st.integers(0, 1000))
def test_equal_rows_have_no_effect(seed: int) -> None:
    worlds = [World(np.repeat(world.sums[:1], 2, axis=0), world.trials) for world in worlds_of(seed)]
    (effect,) = effects(worlds, [(1, 0)], samples=50)
    assert effect == Effect(0.0, Interval(0.0, 0.0), 6, 2)
    assert effect.verdict == "undecided"


@given(st.integers(0, 1000), st.floats(-0.5, 0.5))
def test_a_constant_gain_of_every_query_moves_the_interval_by_it(seed: int, gain: float) -> None:
    worlds = worlds_of(seed)
    moved = [World(world.sums + np.array([0, gain])[:, None, None] * world.trials, world.trials) for world in worlds]
    (before,), (after,) = (effects(each, [(1, 0)], samples=100) for each in (worlds, moved))
    assert after.difference == pytest.approx(before.difference + gain)
    assert after.interval == pytest.approx(np.array(before.interval) + gain)


@given(st.integers(0, 1000))
def test_the_other_way_round_is_the_opposite(seed: int) -> None:
    one, other = effects(worlds_of(seed), [(1, 0), (0, 1)], samples=100)
    assert other.difference == pytest.approx(-one.difference)
    assert other.interval == pytest.approx((-one.interval.high, -one.interval.low))


def test_it_comes_out_the_same_every_time_and_in_any_company() -> None:
    worlds = worlds_of(3, rows=3)
    alone = [World(world.sums[[0, 2]], world.trials) for world in worlds]
    assert effects(worlds, [(2, 0)]) == effects(worlds, [(2, 0)])
    assert effects(alone, [(1, 0)])[0].interval == pytest.approx(effects(worlds, [(2, 0)])[0].interval)


def test_what_makes_worlds_and_queries_easy_cancels_out() -> None:
    random = np.random.default_rng(0)
    sums = [random.random() * 10 + random.random((1, 1, 50)) + np.zeros((2, 3, 1)) for _ in range(4)]
    for number, one in enumerate(sums):
        one[1] += 0.1 + 0.001 * number
    effect = effects([World(one, np.ones(50, int)) for one in sums], [(1, 0)])[0]
    assert effect.interval.low >= 0.1 and effect.interval.high <= 0.1031


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(150):
        sums = []
        for _ in range(6):
            gain = 0.05 + 0.02 * random.standard_normal() + 0.02 * random.standard_normal((3, 1))
            base = random.random((1, 1, 30))
            sums.append(
                np.concatenate([base + np.zeros((1, 3, 1)), base + gain[None] + 0.1 * random.standard_normal(30)])
            )
        effect = effects([World(one, np.ones(30, int)) for one in sums], [(1, 0)], samples=400)[0]
        covered += effect.interval.low <= 0.05 <= effect.interval.high
    assert 0.88 <= covered / 150 <= 1.0


def test_verdicts() -> None:
    named = {
        "helps": Interval(0.01, 0.02), "hurts": Interval(-0.02, -0.01), "undecided": Interval(-0.01, 0.02),
    }  # fmt: skip
    for word, interval in named.items():
        assert Effect(0.0, interval, 1, None).verdict == word
    assert Effect(0.0, Interval(0.0, 0.1), 1, None).verdict == "undecided"


def test_needed_pairs_by_hand() -> None:
    gains = np.array([[0.01, 0.03], [0.05, 0.07]])  # means 0.02 and 0.06: sd 0.0283, (1.96 x 0.0283 / 0.005)^2 = 122.9
    assert needed_pairs(gains, 0.005) == 2 * 123
    assert needed_pairs(gains, 0.01) == 2 * 31
    assert needed_pairs(gains[:1], 0.005) == 31  # of one world by its seeds: sd 0.0141
    assert needed_pairs(gains[:1, :1], 0.005) is None
    assert needed_pairs(np.full((2, 3), 0.1), 0.005) == 3


@pytest.mark.parametrize(
    ("sums", "trials", "message"),
    [
        (np.zeros((2, 1, 3)), np.ones(2), "shapes"),
        (np.zeros((2, 3)), np.ones(3), "shapes"),
        (np.zeros((2, 0, 3)), np.ones(3), "none of them 0"),
        (np.zeros((2, 1, 3)), np.array([1, 0, 1]), "in no trial"),
    ],
)
def test_outcomes_that_cannot_be(sums: np.ndarray, trials: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        World(sums, trials)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"worlds": []}, "0 worlds"),
        ({"worlds": [*worlds_of(0, seeds=2), *worlds_of(0, seeds=3)]}, "worlds alike"),
        ({"samples": 0}, "0 samples"),
        ({"level": 1.0}, "level, half_width"),
        ({"half_width": 0.0}, "level, half_width"),
    ],
)
def test_arguments_out_of_range(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        effects(**{"worlds": worlds_of(0), "pairs": [(1, 0)], **changes})
