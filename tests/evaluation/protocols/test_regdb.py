"""RegDB: the golden scores and the direction trap."""

from __future__ import annotations

import numpy as np
import pytest
from golden_distance import distance

from promptreid.evaluation import FeatureSet, RegDBProtocol


def side(camera: int) -> FeatureSet:
    """206 identities with ten images; ``scenes`` are the frames."""
    return FeatureSet(None, np.repeat(np.arange(206), 10), np.full(2060, camera), np.tile(np.arange(1, 11), 206))


def test_golden_scores_and_name() -> None:
    query, gallery = side(0), side(1)
    result = RegDBProtocol("visible-infrared", split=3).evaluate_distances(
        distance(query, gallery, same=0.02, room=False), query, gallery
    )
    values = [*(result.rank(k) for k in (1, 5, 10, 20)), result.mAP, result.mINP]
    assert [round(100 * v, 4) for v in values] == [18.6893, 68.3981, 91.6019, 99.6117, 25.4361, 21.7040]
    assert (result.protocol, result.num_valid) == ("regdb-split-3 visible-infrared", 2060)


def test_no_filter_even_with_equal_cameras() -> None:
    protocol = RegDBProtocol()
    query, gallery = (FeatureSet(None, np.array([1]), np.array([c])) for c in (0, 1))
    assert protocol.evaluate_distances(np.ones((1, 1)), query, gallery).rank(1) == 1
    assert protocol.rule == "none"


def test_swapped_sides_are_refused() -> None:
    visible, infrared = (FeatureSet(None, np.array([1]), np.array([c])) for c in (0, 1))
    with pytest.raises(ValueError, match="query: camid 1 is not RegDB's visible camera"):
        RegDBProtocol("visible-infrared").evaluate_distances(np.ones((1, 1)), infrared, visible)
    RegDBProtocol("infrared-visible").evaluate_distances(np.ones((1, 1)), infrared, visible)


@pytest.mark.parametrize(
    ("direction", "split"), [("thermal-visible", 1), ("visible-infrared", 0), ("visible-infrared", 11)]
)
def test_unknown_settings_are_refused(direction: str, split: int) -> None:
    with pytest.raises(ValueError, match="is not one of"):
        RegDBProtocol(direction, split)
