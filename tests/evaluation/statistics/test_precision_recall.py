"""Precision and recall against counting every pair at every limit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from promptreid.evaluation import FeatureSet, MarketProtocol
from promptreid.evaluation.protocols.swapped import Swapped
from promptreid.evaluation.ranking.distances import GivenDistances
from promptreid.evaluation.ranking.reranking import KReciprocal
from promptreid.evaluation.statistics.precision_recall import precision_recall


def pairs(distances: np.ndarray, query: FeatureSet, gallery: FeatureSet, rule: str) -> tuple[list[float], list[float]]:
    """Distances of the pairs of one identity and of two that the rule leaves."""
    same, other = [], []
    for q, g in np.ndindex(*distances.shape):
        equal, near = query.pids[q] == gallery.pids[g], query.camids[q] == gallery.camids[g]
        if not (near and (rule == "location" or (rule == "camera" and equal))):
            (same if equal else other).append(float(distances[q, g]))
    return same, other


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 8), st.integers(2, 15)),
    rule=st.sampled_from(["camera", "location", "none"]),
    points=st.integers(1, 9),
)
def test_equals_the_twin_with_ties(seed: int, size: tuple[int, int], rule: str, points: int) -> None:
    random = np.random.default_rng(seed)
    distances = random.integers(0, 6, size) / 4
    query, gallery = (FeatureSet(None, random.integers(0, 3, n), random.integers(0, 3, n)) for n in size)
    same, other = pairs(distances, query, gallery, rule)
    assume(same)
    found = precision_recall(GivenDistances(distances), query, gallery, rule=rule, points=points)
    assert (found.num_positive, found.num_negative) == (len(same), len(other))
    for point, limit in enumerate(found.limits):
        assert limit == sorted(same)[int(np.ceil((point + 1) * len(same) / points)) - 1]
        assert found.true_positives[point] == sum(value <= limit for value in same)
        assert found.false_positives[point] == sum(value <= limit for value in other)
    assert found.recall[-1] == 1 and (np.diff(found.recall) >= 0).all()
    assert ((found.precision > 0) & (found.precision <= 1)).all()


def sides(queries: int = 12, pool: int = 30) -> tuple[FeatureSet, FeatureSet]:
    random = np.random.default_rng(0)
    made = []
    for rows, camera in ((queries, 0), (pool, 1)):
        pids = np.arange(rows) % 6
        features = np.random.default_rng(9).standard_normal((6, 5))[pids] + random.standard_normal((rows, 5))
        names = np.array([f"{camera} {row}" for row in range(rows)])
        made.append(FeatureSet(features, pids, np.full(rows, camera), names=names))
    return made[0], made[1]


def test_a_protocol_draws_it_over_the_pairs_that_it_compares() -> None:
    query, gallery = sides()
    protocol = MarketProtocol("market")
    found = protocol.precision_recall(query, gallery)
    assert (found.num_positive, found.num_negative) == (12 * 5, 12 * 25)
    swapped = Swapped(protocol).precision_recall(gallery, query)
    assert np.array_equal(found.true_positives, swapped.true_positives)
    reranked = protocol.precision_recall(query, gallery, rerank=KReciprocal(4, 2, 0.3))
    assert reranked.num_positive == 60 and not np.array_equal(reranked.limits, found.limits)
    some = protocol.precision_recall(query, gallery, pairs=60)  # two queries: the first and the last
    assert (some.num_positive, some.num_negative) == (10, 50)


def test_nothing_to_find_is_an_error() -> None:
    query, gallery = (FeatureSet(None, [pid], [0]) for pid in (1, 2))
    with pytest.raises(ValueError, match="pids: none of the 1 queries has a match that it may see"):
        precision_recall(GivenDistances(np.ones((1, 1))), query, gallery)


@pytest.mark.parametrize("rerank", [None, KReciprocal(4, 2, 0.3)], ids=["plain", "re-ranked"])
def test_the_lists_of_some_queries_are_rows_of_all_lists(rerank: KReciprocal | None) -> None:
    query, gallery = sides()
    rows = np.array([1, 5, 11])
    whole = MarketProtocol("market").rank_lists(query, gallery, 7, rerank=rerank)
    some = MarketProtocol("market").rank_lists(query, gallery, 7, rerank=rerank, queries=rows)
    assert np.array_equal(some.columns, whole.columns[rows])
    assert some.query.names is not None and some.query.names.tolist() == ["0 1", "0 5", "0 11"]


def test_results_of_some_queries_are_means_over_these() -> None:
    query, gallery = sides()
    result = MarketProtocol("market").evaluate(query, gallery)
    rows = np.array([0, 3])
    some = result.of_queries(rows)
    assert some.mAP == pytest.approx(result.ranks[0].average_precision[rows].mean())
    assert some.num_valid == 2 and some.protocol == result.protocol
