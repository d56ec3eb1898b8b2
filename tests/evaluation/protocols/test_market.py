"""The single-gallery protocols: what each excludes on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from promptreid.evaluation import FeatureSet, MarketProtocol

QUERY = FeatureSet(torch.zeros(1, 1), np.array([1]), np.array([0]), np.array([5]))
GALLERY = FeatureSet(torch.arange(4.0)[:, None], np.array([1, 1, 2, 1]), np.array([0, 1, 0, 1]), np.array([5, 5, 5, 6]))


@pytest.mark.parametrize(("exclude", "rank1", "mean_ap"), [("camera", 1, (1 + 2 / 3) / 2), ("scene", 0, 1 / 2),
                                                           ("nothing", 1, (1 + 1 + 3 / 4) / 3)])  # fmt: skip
def test_excludes(exclude: str, rank1: float, mean_ap: float) -> None:
    result = MarketProtocol("msvr310", exclude).evaluate(QUERY, GALLERY)
    assert (result.protocol, result.rank(1)) == ("msvr310", rank1)
    assert result.mAP == pytest.approx(mean_ap)


def test_trial_is_the_whole_gallery() -> None:
    assert [drawn.tolist() for drawn in MarketProtocol().trials(GALLERY)] == [[0, 1, 2, 3]]


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="exclude: 'scenes'"):
        MarketProtocol(exclude="scenes")
    with pytest.raises(ValueError, match="scenes are missing"):
        MarketProtocol("m", "scene").evaluate(QUERY, FeatureSet(torch.zeros(1, 1), np.array([1]), np.array([0])))
