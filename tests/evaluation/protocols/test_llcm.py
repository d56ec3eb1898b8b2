"""LLCM: the golden draw and scores, and the transposed variant."""

from __future__ import annotations

import numpy as np
import pytest
from golden_distance import distance
from twin import rank_all

from promptreid.evaluation import FeatureSet, LLCMProtocol


def side(infrared: bool) -> FeatureSet:
    """The synthetic LLCM of the golden values; ``scenes`` are the frames of the key."""
    rows = []
    for pid in range(1, 61):
        for cam in (1, 2, 4, 5, 6, 7, 8, 9) if infrared else range(1, 10):
            frames = (5 * pid + 2 * cam + pid % 3) % 4 if infrared else (7 * pid + 3 * cam) % 4
            rows += [(pid, cam - 1, frame + 32 * infrared) for frame in range(1, frames + 1)]
    pids, camids, frames = np.array(rows).T
    return FeatureSet(None, pids, camids, frames)


@pytest.fixture(scope="module")
def sets() -> tuple[FeatureSet, FeatureSet, np.ndarray]:
    visible, infrared = side(False), side(True)
    return visible, infrared, distance(visible, infrared, same=0.05, room=False)


def test_golden_draw(sets: tuple[FeatureSet, FeatureSet, np.ndarray]) -> None:
    pool = sets[1]
    drawn = LLCMProtocol().trials(pool)
    assert pool.scenes is not None and len(drawn) == 10 and len(drawn[0]) == 360
    first = drawn[0][:6]
    found = list(
        zip(
            pool.pids[first].tolist(),
            (pool.camids[first] + 1).tolist(),
            (pool.scenes[first] - 32).tolist(),
            strict=True,
        )
    )
    assert found == [(1, 2, 2), (1, 4, 2), (1, 6, 1), (1, 8, 2), (2, 1, 2), (2, 5, 2)]


def test_golden_scores(sets: tuple[FeatureSet, FeatureSet, np.ndarray]) -> None:
    visible, infrared, distances = sets
    result = LLCMProtocol(trials=1).evaluate_distances(distances, visible, infrared)
    values = [*(result.rank(k) for k in (1, 5, 10, 20)), result.mAP, result.mINP]
    assert [round(100 * v, 4) for v in values] == [24.8148, 76.0494, 96.7901, 100.0, 33.1306, 27.0916]
    assert result.num_valid + result.num_invalid == 810
    assert result.protocol == "llcm-paper visible-infrared"


def test_readme_variant_ranks_the_transposed_matrix(sets: tuple[FeatureSet, FeatureSet, np.ndarray]) -> None:
    visible, infrared, distances = sets
    protocol = LLCMProtocol(variant="llcm-readme-2023", trials=2)
    result = protocol.evaluate_distances(distances, visible, infrared)
    for trial, drawn in zip(result.trials, protocol.trials(infrared), strict=True):
        twin = rank_all(distances.T[drawn], infrared.pids[drawn], visible.pids, infrared.camids[drawn], visible.camids,
                        level="identity")  # fmt: skip
        valid = [outcome for outcome in twin if outcome.matches]
        assert trial.mAP == pytest.approx(np.mean([outcome.ap for outcome in valid]))
        assert trial.cmc[4] == pytest.approx(np.mean([outcome.first <= 5 for outcome in valid]))
        assert trial.num_valid + trial.num_invalid == len(drawn)


def test_infrared_queries_are_the_same_in_both_variants(sets: tuple[FeatureSet, FeatureSet, np.ndarray]) -> None:
    visible, infrared, distances = sets
    paper, readme = (
        LLCMProtocol("infrared-visible", variant, trials=2).evaluate_distances(distances.T, infrared, visible)
        for variant in ("llcm-paper", "llcm-readme-2023")
    )
    assert paper.mAP == readme.mAP and paper.protocol != readme.protocol


@pytest.mark.parametrize("arguments", [("both",), ("visible-infrared", "llcm"), ("visible-infrared", "llcm-paper", 0)])
def test_unknown_settings_are_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError, match=r"direction|variant|trials"):
        LLCMProtocol(*arguments)


def test_unknown_cameras_are_refused() -> None:
    query, gallery = FeatureSet(None, np.array([1]), np.array([9])), FeatureSet(None, np.array([1]), np.array([0]))
    with pytest.raises(ValueError, match="query: camid 9 is not a camera of LLCM"):
        LLCMProtocol().evaluate_distances(np.ones((1, 1)), query, gallery)
