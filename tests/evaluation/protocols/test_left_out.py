"""Images that are left out: galleries are drawn as from the complete set, and lose them afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from promptreid.evaluation import FeatureSet, LLCMProtocol, MarketProtocol, SYSUProtocol
from promptreid.evaluation.features import left_out_note
from promptreid.evaluation.protocols import SingleShotProtocol, Swapped
from promptreid.evaluation.ranking.reranking import KReciprocal

PIDS, FRAMES = 6, 3
LLCM = [LLCMProtocol(trials=3), LLCMProtocol(variant="llcm-readme-2023", trials=3)]
CASES: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...]]] = {
    "market": (MarketProtocol(), (0, 1, 2), (0, 1, 2)),
    "single shot": (SingleShotProtocol(trials=4), (0, 1, 2), (0, 1, 2)),
    "sysu": (SYSUProtocol("all", 1), (2, 5), (0, 1, 3, 4)),
    "sysu 10-shot": (SYSUProtocol("indoor", 10, trials=2), (2, 5), (0, 1)),
    "llcm": (LLCM[0], (0, 1), (2, 3)),
    "llcm, transposed": (LLCM[1], (0, 1), (2, 3)),
    "swapped": (Swapped(MarketProtocol()), (0, 1), (1, 2)),
}


def side(cameras: tuple[int, ...], seed: int) -> FeatureSet:
    generator = torch.Generator().manual_seed(seed)
    labels = np.array([(pid, camera) for pid in range(PIDS) for camera in cameras for _ in range(FRAMES)])
    names = np.array([f"{seed}-{number}" for number in range(len(labels))])
    return FeatureSet(torch.randn(len(labels), 8, generator=generator), *labels.T, names=names)


def without(images: FeatureSet, *rows: int) -> FeatureSet:
    reasons = np.array([f"{seed}.jpg: broken" if seed in rows else "" for seed in range(len(images))], dtype=object)
    features = torch.as_tensor(images.features).clone()
    features[list(rows)] = 0
    return replace(images, features=features, left_out=reasons)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("rerank", [None, KReciprocal(4, 2, 0.3)], ids=["plain", "re-ranked"])
def test_a_slow_twin(name: str, rerank: Any) -> None:
    """Every trial is that of a single gallery which is drawn from the complete pool, and then cut by hand."""
    protocol, query_cameras, gallery_cameras = CASES[name]
    query, gallery = side(query_cameras, 1), side(gallery_cameras, 2)
    gone = ([0, 4, 9], [1, 2, 7, 11])
    found = protocol.evaluate(without(query, *gone[0]), without(gallery, *gone[1]), rerank=rerank)
    trials = list(protocol.trial_sets(query, gallery))
    assert len(found.trials) == len(trials)
    lost = {f"1-{row}" for row in gone[0]} | {f"2-{row}" for row in gone[1]}
    for trial, sides in zip(found.trials, trials, strict=True):
        kept = [one.select(np.flatnonzero([name not in lost for name in one.names.tolist()])) for one in sides]
        by_hand = Once(protocol).evaluate(*kept, rerank=rerank).trials[0]
        assert np.array_equal(trial.cmc, by_hand.cmc)
        assert (trial.mAP, trial.mINP, trial.num_valid) == (by_hand.mAP, by_hand.mINP, by_hand.num_valid)


class Once(MarketProtocol):
    """The rule of another protocol, on one gallery as it is."""

    def __init__(self, other: Any) -> None:
        other = getattr(other, "protocol", other)
        self.name, self.rule, self.level, self._own = "once", other.rule, other.level, other

    def _labels(self, images: FeatureSet) -> FeatureSet:
        return self._own._labels(images)


def test_the_note_and_the_line_say_how_many() -> None:
    query, gallery = side((0, 1), 1), side((0, 1), 2)
    result = MarketProtocol().evaluate(without(query, 3), without(gallery, 5, 6))
    text = "3 images left out (1 query, 2 of the gallery)"
    assert result.note == result.as_dict()["note"] == text
    assert result.line().endswith(f"; {text}")
    assert result.num_valid + result.num_invalid == len(query) - 1
    assert MarketProtocol().evaluate(query, gallery).note == left_out_note(query, gallery) == ""


def test_an_image_that_is_query_and_in_the_gallery_is_one() -> None:
    images = without(side((0, 1), 1), 3)
    assert left_out_note(images, images) == "1 image left out (1 query, 1 of the gallery)"
    assert left_out_note(without(images, 3, 4), images) == "2 images left out (2 queries, 1 of the gallery)"


def test_ranked_lists_and_verification_have_none_of_them() -> None:
    query, gallery = without(side((0, 1), 1), 3), without(side((0, 1), 2), 5, 6)
    lists = MarketProtocol().rank_lists(query, gallery, 100)
    shown = {lists.gallery.names[column] for row in lists.columns for column in row if column >= 0}
    assert "1-3" not in lists.query.names and not shown & {"2-5", "2-6"}
    kept = (side((0, 1), 1), side((0, 1), 2))
    by_hand = [one.select(other.used()) for one, other in zip(kept, (query, gallery), strict=True)]
    assert MarketProtocol().verify(query, gallery).line() == MarketProtocol().verify(*by_hand).line()


def test_selecting_keeps_the_reasons() -> None:
    images = without(side((0, 1), 1), 3, 5).select(np.array([3, 4, 5]))
    assert images.left_out is not None and images.left_out.tolist() == ["3.jpg: broken", "", "5.jpg: broken"]
    assert images.used().tolist() == [1] and images.used(np.array([2, 1])).tolist() == [1]
    with pytest.raises(ValueError, match="left_out: 1 entries, but pids has 3"):
        replace(images, left_out=np.array([""]))
