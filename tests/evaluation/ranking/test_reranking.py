"""Sparse re-ranking against torchreid's dense one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from promptreid import host
from promptreid.evaluation import FeatureSet, LLCMProtocol, MarketProtocol, SYSUProtocol, rank_distances
from promptreid.evaluation.protocols.swapped import Swapped
from promptreid.evaluation.ranking.reranking import KReciprocal


def clustered(rows: int, ids: int, seed: int, dim: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(ids, dim, generator=torch.Generator().manual_seed(99))
    return centres[torch.arange(rows) % ids] + torch.randn(rows, dim, generator=generator)


def dense(query: torch.Tensor, gallery: torch.Tensor, metric: str, method: KReciprocal) -> np.ndarray:
    """torchreid's own, on its own distances."""
    pairs = ((query, gallery), (query, query), (gallery, gallery))
    matrices = [host.metrics.compute_distance_matrix(a, b, metric).numpy() for a, b in pairs]
    return np.asarray(host.utils.re_ranking(*matrices, method.k1, method.k2, method.weight))


def sparse(query: torch.Tensor, gallery: torch.Tensor, metric: str, method: KReciprocal) -> np.ndarray:
    return method.distances(query, gallery, metric).rows(torch.arange(len(query))).numpy()


def obvious(query: torch.Tensor, gallery: torch.Tensor, metric: str, method: KReciprocal) -> np.ndarray:
    """Zhong et al., section 3, image by image, in float64."""
    images = torch.cat([query, gallery]).double().numpy()
    if metric == "cosine":
        images /= np.linalg.norm(images, axis=1, keepdims=True)
        distances = 1 - images @ images.T
    else:
        distances = ((images[:, None] - images[None]) ** 2).sum(2)
    if method.original == "squared":
        distances = distances**2
    np.fill_diagonal(distances, 0)
    distances = distances / distances.max(axis=1, keepdims=True)
    order = np.argsort(distances, axis=1, kind="stable")

    def reciprocal(image: int, k: int) -> set[int]:
        return {int(other) for other in order[image, : k + 1] if image in order[other, : k + 1]}

    encoding = np.zeros_like(distances)
    for image in range(len(images)):
        own = reciprocal(image, method.k1)
        grown = set(own)
        for other in own:
            half = reciprocal(other, round(method.k1 / 2))
            if 3 * len(half & own) > 2 * len(half):
                grown |= half
        members = sorted(grown)
        weights = np.exp(-distances[image, members])
        encoding[image, members] = weights / weights.sum()
    if method.k2 > 1:
        encoding = np.stack([encoding[order[image, : method.k2]].mean(axis=0) for image in range(len(images))])
    found = np.empty((len(query), len(gallery)))
    for q in range(len(query)):
        for g in range(len(gallery)):
            a, b = encoding[q], encoding[len(query) + g]
            jaccard = 1 - np.minimum(a, b).sum() / np.maximum(a, b).sum()
            found[q, g] = (1 - method.weight) * jaccard + method.weight * distances[q, len(query) + g]
    return found


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("original", ["squared", "plain"])
@pytest.mark.parametrize("parameters", [(20, 6, 0.3), (5, 1, 0.0), (7, 3, 0.8)])
def test_equals_the_paper_read_line_by_line(metric: str, original: str, parameters: tuple[int, int, float]) -> None:
    query, gallery = clustered(15, 9, 0), clustered(60, 9, 1)
    method = KReciprocal(*parameters, original)
    expected = obvious(query, gallery, metric, method)
    np.testing.assert_allclose(sparse(query, gallery, metric, method), expected, atol=2e-5)


def test_plain_and_squared_distances_are_two_methods() -> None:
    query, gallery = clustered(15, 9, 0), clustered(60, 9, 1)
    squared, plain = (sparse(query, gallery, "euclidean", KReciprocal(original=name)) for name in ("squared", "plain"))
    assert np.abs(squared - plain).max() > 0.01
    assert np.array_equal(squared, sparse(query, gallery, "euclidean", KReciprocal()))
    assert KReciprocal(original="plain").name == "k-reciprocal(20,6,0.3,plain)"
    with pytest.raises(ValueError, match=r"original: 'cubed' is not one of \('squared', 'plain'\)"):
        KReciprocal(original="cubed")


def test_equals_torchreid_at_two_thousand() -> None:
    query, gallery = clustered(400, 150, 0), clustered(1600, 150, 1)
    method = KReciprocal()
    difference = np.abs(sparse(query, gallery, "euclidean", method) - dense(query, gallery, "euclidean", method))
    assert difference.max() < 1e-4


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize(
    "method", [KReciprocal(), KReciprocal(5, 1, 0.0), KReciprocal(7, 12, 0.5), KReciprocal(1, 1, 1.0)]
)
def test_equals_torchreid_for_other_parameters(metric: str, method: KReciprocal) -> None:
    query, gallery = clustered(40, 20, 0), clustered(160, 20, 1)
    expected = dense(query, gallery, metric, method)
    np.testing.assert_allclose(sparse(query, gallery, metric, method), expected, atol=1e-5)


def test_small_sets_are_taken_whole() -> None:
    query, gallery = clustered(2, 3, 0), clustered(5, 3, 1)
    method = KReciprocal()
    np.testing.assert_allclose(sparse(query, gallery, "euclidean", method), dense(query, gallery, "euclidean", method),
                               atol=1e-5)  # fmt: skip


def test_copies_of_one_image_are_finite_and_nearest() -> None:
    query = clustered(3, 3, 0)
    gallery = torch.cat([query[:1].repeat(60, 1), clustered(30, 3, 1)])  # more copies than k1: torchreid divides by 0
    found = sparse(query, gallery, "euclidean", KReciprocal())
    assert np.isfinite(found).all()
    assert np.isfinite(sparse(torch.ones(2, 4), torch.ones(30, 4), "euclidean", KReciprocal())).all()


def test_rows_and_columns_are_parts_of_the_matrix() -> None:
    distances = KReciprocal().distances(clustered(9, 4, 0), clustered(50, 4, 1))
    whole = distances.rows(torch.arange(9))
    part = distances.columns(np.array([40, 3, 17]))
    assert distances.shape == (9, 50) and part.shape == (9, 3)
    torch.testing.assert_close(part.rows(torch.tensor([8, 2])), whole[[8, 2]][:, [40, 3, 17]])


def images(rows: int, cameras: tuple[int, ...], seed: int, ids: int = 12) -> FeatureSet:
    camids = np.array(cameras)[np.arange(rows) // ids % len(cameras)]
    return FeatureSet(clustered(rows, ids, seed), np.arange(rows) % ids, camids)


def test_market_protocol_ranks_the_re_ranked_distances_and_says_so() -> None:
    query, gallery = images(48, (0, 1), 0), images(240, (0, 1, 2), 1)
    result = MarketProtocol().evaluate(query, gallery, rerank=KReciprocal())
    matrix = dense(query.features, gallery.features, "euclidean", KReciprocal())
    ranks = rank_distances(matrix, query.pids, gallery.pids, query.camids, gallery.camids)
    assert result.mAP == pytest.approx(np.nanmean(ranks.average_precision), abs=1e-5)
    assert result.mAP > MarketProtocol().evaluate(query, gallery).mAP
    assert result.line().startswith("market1501 + k-reciprocal(20,6,0.3): ")
    assert MarketProtocol().evaluate(query, gallery).line().startswith("market1501: ")


def test_trials_are_re_ranked_with_their_own_gallery() -> None:
    query, gallery = images(48, (2, 5), 0), images(240, (0, 1, 3, 4), 1)
    protocol = SYSUProtocol("all", 1, trials=3)
    result = protocol.evaluate(query, gallery, rerank=KReciprocal(8, 3))
    assert result.protocol == "sysu-python all 1-shot + k-reciprocal(8,3,0.3)"
    for trial, drawn in zip(result.trials, protocol.trials(gallery), strict=True):
        matrix = np.full((48, 240), 9.0, dtype=np.float32)
        matrix[:, drawn] = dense(query.features, gallery.features[drawn], "euclidean", KReciprocal(8, 3))
        alone = protocol.evaluate_distances(matrix, query, gallery)
        assert trial.mAP == pytest.approx(alone.trials[result.trials.index(trial)].mAP, abs=1e-6)


@pytest.mark.parametrize("variant", ["llcm-paper", "llcm-readme-2023"])
def test_llcm_keeps_its_roles(variant: str) -> None:
    query, gallery = images(48, (0, 1), 0), images(96, (2, 3), 1)
    protocol = LLCMProtocol("visible-infrared", variant, trials=2)
    result = protocol.evaluate(query, gallery, rerank=KReciprocal(8, 3))
    drawn = protocol.trials(gallery)[1]
    sides = (gallery.select(drawn), query) if protocol.transposed else (query, gallery.select(drawn))
    matrix = dense(sides[0].features, sides[1].features, "euclidean", KReciprocal(8, 3))
    ranks = rank_distances(matrix, sides[0].pids, sides[1].pids, sides[0].camids, sides[1].camids, level="identity")
    assert result.trials[1].mAP == pytest.approx(np.nanmean(ranks.average_precision), abs=1e-6)
    swapped = Swapped(protocol).evaluate(gallery, query, rerank=KReciprocal(8, 3))
    assert swapped.mAP == pytest.approx(result.mAP)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [((0,), "k1: 0 is below 1"), ((20, 0), "k2: 0 is below 1"), ((20, 6, 1.5), r"weight: 1.5 is outside 0\.\.1")],
)
def test_refuses_parameters_out_of_range(parameters: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KReciprocal(*parameters)


def test_refuses_features_that_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match=r"query: .* in rows 1$"):
        KReciprocal().distances(torch.tensor([[1.0], [torch.nan]]), torch.ones(3, 1))
    with pytest.raises(ValueError, match="query: 2 features per image, gallery: 3"):
        KReciprocal().distances(torch.ones(2, 2), torch.ones(3, 3))
