"""Ranked lists as figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from PIL import Image

from promptreid.visual.figures import RIGHT_COLOUR, WRONG_COLOUR
from promptreid.visual.rank_lists import Shown
from promptreid.visual.ranks import RankRow, ranks_figure


def image(path: Path, grey: int) -> str:
    Image.new("RGB", (8, 16), (grey, grey, grey)).save(path)
    return str(path)


def test_images_stand_in_their_order_with_frames_and_marks(tmp_path: Path) -> None:
    files = [image(tmp_path / f"{grey}.png", grey) for grey in (10, 60, 110)]
    gallery = [Shown((files[1],), ("id 4",), True), Shown((files[2],), ("id 5",), False)]
    figure = ranks_figure([RankRow(Shown((files[0],)), gallery, "query 7")], size=(16, 8))
    assert [int(axes.images[0].get_array()[0, 0, 0]) for axes in figure.axes] == [10, 60, 110]
    frames = [to_hex(axes.spines["left"].get_edgecolor()).upper() for axes in figure.axes]
    assert frames == ["#000000", RIGHT_COLOUR, WRONG_COLOUR]
    lefts = [axes.get_position().x0 for axes in figure.axes]
    assert lefts == sorted(lefts)
    texts = [text.get_text() for text in figure.texts]
    assert {"query 7", "1 ✓", "2 ✗", "id 4"} <= set(texts)


def test_bands_stand_below_one_another_and_a_lost_image_is_grey(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.png")
    query = Shown((image(tmp_path / "a.png", 90), None, gone))
    figure = ranks_figure([RankRow(query, [], bands=("RGB", "NIR", "TIR"))], size=(16, 8), width="column")
    tops = [axes.get_position().y1 for axes in figure.axes]
    assert len(tops) == 3 and tops == sorted(tops, reverse=True)
    assert [int(axes.images[0].get_array()[0, 0, 0]) for axes in figure.axes] == [90, 200, 200]
    notes = ["".join(text.get_text() for text in axes.texts).replace("\n", "") for axes in figure.axes]
    assert notes[:2] == ["", "missing"] and notes[2].replace(" ", "") == gone
    with pytest.raises(ValueError, match="no query to draw"):
        ranks_figure([])
