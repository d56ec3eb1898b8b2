"""Single-gallery-shot: the draws, and the mean over all of them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from promptreid import host
from promptreid.evaluation import FeatureSet
from promptreid.evaluation.protocols.single_shot import SingleShotProtocol


def images(pids: list[int], camids: list[int] | None = None) -> FeatureSet:
    return FeatureSet(None, pids, [1] * len(pids) if camids is None else camids)


def test_every_gallery_has_one_image_of_each_identity() -> None:
    gallery = images([5, 3, 3, 8, 5, 3])
    draws = SingleShotProtocol(trials=40).trials(gallery)
    assert all(gallery.pids[draw].tolist() == [3, 5, 8] for draw in draws)
    assert {int(draw[0]) for draw in draws} == {1, 2, 5} and {int(draw[1]) for draw in draws} == {0, 4}
    again = SingleShotProtocol(trials=40).trials(gallery)
    assert all(np.array_equal(a, b) for a, b in zip(draws, again, strict=True))


def test_approaches_the_mean_over_all_draws_and_torchreids() -> None:
    random = np.random.default_rng(0)
    query, gallery = FeatureSet(None, [0, 1, 2, 0], [0] * 4), images([0, 0, 1, 1, 1, 2])
    distances = random.random((4, 6))
    ranks = []
    for draw in product([0, 1], [2, 3, 4], [5]):
        order = gallery.pids[list(draw)][np.argsort(distances[:, draw], axis=1)]
        ranks.append((order == query.pids[:, None]).argmax(1))
    result = SingleShotProtocol(trials=2000).evaluate_distances(distances, query, gallery)
    assert result.rank(1) == pytest.approx(np.mean(np.array(ranks) == 0), abs=0.02)
    assert result.mAP == pytest.approx(np.mean(1 / (1 + np.array(ranks))), abs=0.02)
    labels = (query.pids, gallery.pids, query.camids, gallery.camids)
    np.random.seed(0)
    theirs = [host.metrics.evaluate_rank(distances, *labels, 3, True, False)[0] for _ in range(40)]
    np.testing.assert_allclose(result.cmc[:3], np.mean(theirs, axis=0), atol=0.04)


def test_a_hidden_image_costs_the_query_its_trial() -> None:
    query, gallery = FeatureSet(None, [0, 1], [0, 0]), images([0, 0, 1], [0, 1, 1])
    result = SingleShotProtocol(trials=30).evaluate_distances(np.ones((2, 3)), query, gallery)
    assert {trial.num_valid for trial in result.trials} == {1, 2}
    assert (result.num_valid, result.num_invalid) == (1, 1)


def test_refuses() -> None:
    with pytest.raises(ValueError, match="trials: 0 is below 1"):
        SingleShotProtocol(trials=0)
    with pytest.raises(ValueError, match="exclude: 'id' is not one of"):
        SingleShotProtocol(exclude="id")
