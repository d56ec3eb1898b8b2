"""Heat maps over images."""

from __future__ import annotations

import numpy as np
import pytest

from promptreid.visual.attention import AttentionRow, attention_figure, over
from promptreid.visual.tiles import Tile


def test_a_map_lies_over_its_image() -> None:
    pixels = np.full((8, 4, 3), 100, dtype=np.uint8)
    heat = np.array([[0.0, 0.0], [0.0, 2.0]])
    drawn = over(pixels, heat)
    assert drawn[-1, -1].sum() > drawn[0, 0].sum() and np.ptp(over(pixels, 0 * heat)) < 5
    figure = attention_figure([AttentionRow(Tile(pixels), {"class": heat, "bind 1": None}, "RGB")], note="n")
    assert figure.axes[0].get_ylabel() == "RGB" and figure.axes[1].get_xlabel() == "4.0×"
    assert not figure.axes[2].axison
    with pytest.raises(ValueError, match="no image to draw"):
        attention_figure([])
