"""Market-1501's rule across modalities."""

from __future__ import annotations

import numpy as np
import pytest

from promptreid.evaluation import CrossModalProtocol, FeatureSet, MarketProtocol
from promptreid.evaluation.protocols import Swapped, oriented


def test_it_is_the_market_rule_with_a_direction() -> None:
    random = np.random.default_rng(0)
    query, gallery = (
        FeatureSet(random.random((n, 3)), random.integers(0, 3, n), random.integers(0, 2, n)) for n in (9, 12)
    )
    protocol = CrossModalProtocol("infrared-visible")
    assert (protocol.name, protocol.direction) == ("cross-modal infrared-visible", "infrared-visible")
    found, expected = protocol.evaluate(query, gallery), MarketProtocol().evaluate(query, gallery)
    assert found.trials[0].as_dict() == expected.trials[0].as_dict()
    assert isinstance(oriented(protocol, (["visible"], ["infrared"])), Swapped)
    with pytest.raises(ValueError, match="direction: 'thermal-visible'"):
        CrossModalProtocol("thermal-visible")
