"""The second direction is what the protocol itself gives with the sides exchanged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from promptreid.evaluation import FeatureSet, LLCMProtocol, RegDBProtocol
from promptreid.evaluation.protocols.swapped import Swapped, both_directions


def sides() -> tuple[FeatureSet, FeatureSet]:
    """Visible and infrared images of eight identities, with integer features, so that distances are exact."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randint(-9, 9, (64, 6), generator=generator).float()
    pids = np.repeat(np.arange(8), 4)
    return (
        FeatureSet(features[:32], pids, np.tile([0, 1, 1, 3], 8)),
        FeatureSet(features[32:], pids, np.tile([0, 3, 3, 4], 8)),
    )


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_features(metric: str) -> None:
    visible, infrared = sides()
    protocol = LLCMProtocol("infrared-visible")
    found = Swapped(protocol).evaluate(visible, infrared, metric)
    assert found.as_dict() == protocol.evaluate(infrared, visible, metric).as_dict()
    assert found.as_dict() != LLCMProtocol("visible-infrared").evaluate(visible, infrared, metric).as_dict()


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_distances_stay_those_of_the_data_set(convert) -> None:
    visible, infrared = sides()
    distances = np.random.default_rng(0).random((32, 32))
    protocol = LLCMProtocol("infrared-visible", "llcm-readme-2023")
    found = Swapped(protocol).evaluate_distances(convert(distances), visible, infrared)
    assert found.as_dict() == protocol.evaluate_distances(distances.T, infrared, visible).as_dict()


def test_both_directions_are_named_by_their_protocols() -> None:
    for direction, opposite in (("visible-infrared", "infrared-visible"), ("infrared-visible", "visible-infrared")):
        headline, second = both_directions(RegDBProtocol, direction)
        assert isinstance(headline, RegDBProtocol)
        assert [headline.name, second.name] == [f"regdb-split-1 {direction}", f"regdb-split-1 {opposite}"]


def test_unknown_direction() -> None:
    with pytest.raises(ValueError, match="direction: 'thermal-visible'"):
        both_directions(RegDBProtocol, "thermal-visible")
