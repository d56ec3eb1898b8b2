"""True positive rates against a walk through all thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from promptreid.evaluation import FeatureSet, MarketProtocol, SYSUProtocol
from promptreid.evaluation.protocols.swapped import Swapped
from promptreid.evaluation.ranking.distances import GivenDistances
from promptreid.evaluation.ranking.reranking import KReciprocal
from promptreid.evaluation.statistics.verification import Verification, roc


def pairs(distances: np.ndarray, query: FeatureSet, gallery: FeatureSet, rule: str) -> tuple[list[float], list[float]]:
    """Distances of the positive and of the negative pairs that the rule leaves."""
    positive, negative = [], []
    for q, row in enumerate(distances):
        for g, value in enumerate(row):
            same, near = query.pids[q] == gallery.pids[g], query.camids[q] == gallery.camids[g]
            if near and (rule == "location" or (rule == "camera" and same)):
                continue
            (positive if same else negative).append(float(value))
    return positive, negative


def twin(positive: list[float], negative: list[float], fpr: float) -> float:
    """The highest TPR of all thresholds that accept no more than this share of the negative pairs."""
    thresholds = [-np.inf, *positive, *negative]
    allowed = [t for t in thresholds if np.mean(np.array(negative) <= t) <= fpr + 1e-12]
    return float(max(np.mean(np.array(positive) <= t) for t in allowed))


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 8), st.integers(2, 15)),
    rule=st.sampled_from(["camera", "location", "none"]),
    block_rows=st.integers(1, 9),
)
def test_equals_the_twin_with_ties(seed: int, size: tuple[int, int], rule: str, block_rows: int) -> None:
    random = np.random.default_rng(seed)
    distances = random.integers(-2, 6, size) / 4
    query, gallery = (FeatureSet(None, random.integers(0, 3, n), random.integers(0, 3, n)) for n in size)
    positive, negative = pairs(distances, query, gallery, rule)
    assume(positive and negative)
    fprs = (0.0, 0.01, 0.1, 0.25, 1 / 3, 0.5, 1.0)
    found = roc(GivenDistances(distances), query, gallery, rule=rule, fprs=fprs, block_rows=block_rows)
    np.testing.assert_allclose(found.tpr, [twin(positive, negative, fpr) for fpr in fprs])
    assert (found.num_positive, found.num_negative) == (len(positive), len(negative))


def images(rows: int, cameras: tuple[int, ...], seed: int) -> FeatureSet:
    random = np.random.default_rng(seed)
    pids = np.arange(rows) % 7
    features = np.random.default_rng(99).standard_normal((7, 5))[pids] + random.standard_normal((rows, 5))
    return FeatureSet(features, pids, np.resize(np.repeat(cameras, 7), rows))


def test_protocols_average_their_trials_and_name_their_refinements() -> None:
    query, gallery = images(21, (2, 5), 0), images(84, (0, 1, 3, 4), 1)
    found = SYSUProtocol(trials=3).verify(query, gallery, fprs=(0.01, 0.1), rerank=KReciprocal(5, 2))
    assert found.protocol == "sysu-python all 1-shot + k-reciprocal(5,2,0.3)"
    assert found.line().startswith(f"{found.protocol}: TPR@FPR=0.01 {100 * found.tpr[0]:.2f}  TPR@FPR=0.1 ")
    assert 0 < found.tpr[0] <= found.tpr[1] <= 1
    plain = MarketProtocol().verify(query, gallery)
    assert plain.fpr == (1e-4, 1e-3, 1e-2) and plain.num_positive + plain.num_negative == 21 * 84
    swapped = Swapped(MarketProtocol()).verify(gallery, query)
    np.testing.assert_array_equal(swapped.tpr, plain.tpr)


def test_mean_of_trials() -> None:
    trials = [Verification("", (0.1,), np.array([t]), p, 100 - p) for t, p in ((0.2, 7), (0.6, 9))]
    assert Verification.mean("p", trials).line() == "p: TPR@FPR=0.1 40.00  | 7 positive, 91 negative pairs"


@pytest.mark.parametrize(
    ("fprs", "g_pids", "message"),
    [
        ((), [1, 2], "fprs: expected rates from 0 to 1"),
        ((0.1, 1.5), [1, 2], "fprs: expected rates from 0 to 1"),
        ((0.1,), [2, 2], "pids: 0 positive and 2 negative pairs"),
        ((0.1,), [1, 1], "pids: 2 positive and 0 negative pairs"),
        ((0.1,), [1, 2, 3], "gallery labels: 3 entries"),
    ],
)
def test_refuses(fprs: tuple[float, ...], g_pids: list[int], message: str) -> None:
    sets = FeatureSet(None, [1], [0]), FeatureSet(None, g_pids, [1] * len(g_pids))
    with pytest.raises(ValueError, match=message):
        roc(GivenDistances(np.ones((1, 2))), *sets, fprs=fprs)
