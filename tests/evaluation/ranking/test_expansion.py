"""Query expansion against a loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from promptreid.evaluation import FeatureSet, MarketProtocol
from promptreid.evaluation.ranking.expansion import QueryExpansion
from promptreid.evaluation.ranking.reranking import KReciprocal


def twin(query: np.ndarray, gallery: np.ndarray, k: int, alpha: float) -> np.ndarray:
    unit = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    expanded = []
    for row in query / np.linalg.norm(query, axis=1, keepdims=True):
        cosines = unit @ row
        total = row.copy()
        for index in np.argsort(-cosines, kind="stable")[:k]:
            total += unit[index] * (max(cosines[index], 0) ** alpha if alpha else 1)
        expanded.append(total / np.linalg.norm(total))
    return np.array(expanded)


@pytest.mark.parametrize(("k", "alpha"), [(1, 0.0), (5, 0.0), (5, 3.0), (99, 0.5)])
def test_equals_the_twin(k: int, alpha: float) -> None:
    random = np.random.default_rng(0)
    query, gallery = random.standard_normal((7, 6)), random.standard_normal((40, 6))
    before = query.copy()
    found, items = QueryExpansion(k, alpha).expand(query, gallery)
    np.testing.assert_allclose(found.numpy(), twin(query, gallery, k, alpha), atol=1e-5)
    np.testing.assert_allclose(items.norm(dim=1).numpy(), 1, atol=1e-6)
    np.testing.assert_array_equal(query, before)


def test_given_unit_features_are_not_changed() -> None:
    query = torch.nn.functional.normalize(torch.randn(4, 5, generator=torch.Generator().manual_seed(0)))
    before = query.clone()
    QueryExpansion(2).expand(query, query.clone())
    assert torch.equal(query, before)


def test_the_name_of_the_result_tells_both_refinements() -> None:
    random = np.random.default_rng(1)
    sets = [
        FeatureSet(random.standard_normal((n, 8)), np.arange(n) % 5, np.full(n, camera))
        for camera, n in ((0, 10), (1, 60))
    ]
    result = MarketProtocol().evaluate(*sets, aqe=QueryExpansion(3, 2), rerank=KReciprocal())
    assert result.protocol == "market1501 + AQE(3,2) + k-reciprocal(20,6,0.3)"
    expanded = QueryExpansion().expand(sets[0].features, sets[1].features)
    by_hand = MarketProtocol().evaluate(*(FeatureSet(f, s.pids, s.camids) for f, s in zip(expanded, sets, strict=True)))
    assert MarketProtocol().evaluate(*sets, aqe=QueryExpansion()).mAP == pytest.approx(by_hand.mAP)


@pytest.mark.parametrize(("parameters", "message"), [((0,), "k: 0 is below 1"), ((1, -1.0), "alpha: -1.0 is not")])
def test_refuses(parameters: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QueryExpansion(*parameters)
    with pytest.raises(ValueError, match="gallery: the features hold NaN or infinite values in rows 0"):
        QueryExpansion().expand(torch.ones(1, 2), torch.full((1, 2), torch.inf))
