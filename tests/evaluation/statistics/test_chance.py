"""The expected AP of a random ranking, against every ranking there is."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from promptreid.evaluation.ranking.exact import rank_distances
from promptreid.evaluation.statistics.chance import chance, expected_average_precision


@pytest.mark.parametrize("n", range(1, 9))
def test_equals_the_mean_over_all_orders(n: int) -> None:
    for m in range(1, n + 1):
        orders = [[k / place for k, place in enumerate(places, 1)] for places in combinations(range(1, n + 1), m)]
        assert expected_average_precision(np.array(m), np.array(n)) == pytest.approx(np.mean(orders), rel=1e-12)


def test_is_one_when_everything_matches() -> None:
    np.testing.assert_allclose(expected_average_precision(np.array([1, 7, 500]), np.array([1, 7, 500])), 1)


def test_random_rankings_approach_it() -> None:
    random = np.random.default_rng(0)
    q_pids, g_pids = random.integers(0, 5, 2000), random.integers(0, 5, 30)
    cameras = random.integers(0, 2, 2000), random.integers(0, 2, 30)
    ranks = rank_distances(random.random((2000, 30)), q_pids, g_pids, *cameras)
    expected = chance(ranks)
    assert (ranks.first[ranks.valid] == 1).mean() == pytest.approx(expected.rank1, abs=0.03)
    assert ranks.average_precision[ranks.valid].mean() == pytest.approx(expected.mAP, abs=0.01)


def test_queries_without_a_match_do_not_count() -> None:
    ranks = rank_distances(np.ones((2, 4)), [1, 9], [1, 1, 2, 3], [0, 0], [1, 1, 1, 1])
    assert chance(ranks).rank1 == pytest.approx(0.5)
