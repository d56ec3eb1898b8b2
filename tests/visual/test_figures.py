"""Files, widths and settings of pictures."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
import pytest
from PIL import Image

from promptreid.visual.figures import (
    RIGHT_COLOUR,
    WRONG_COLOUR,
    marks_of,
    new_figure,
    picture_bytes,
    save_figure,
    style,
)


def test_a_picture_has_a_paper_s_width_at_300_dots_per_inch(tmp_path: Path) -> None:
    for width, millimetres in (("column", 85), ("page", 174), ("screen", 125)):
        with style():
            figure = new_figure(width, 30)
        picture = Image.open(save_figure(figure, tmp_path / "made" / f"{width}.png"))
        assert abs(picture.width - millimetres / 25.4 * 300) < 2 and abs(picture.height - 30 / 25.4 * 300) < 2
        assert (tmp_path / "made" / f"{width}.png").stat().st_size > 0
        assert save_figure(figure, tmp_path / f"{width}.svg").read_text().startswith("<?xml")
    with pytest.raises(ValueError, match="'poster' is not one of column, page, screen"):
        new_figure("poster", 30)


def test_nothing_is_replaced_unasked_and_no_setting_stays(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    with style():
        assert dict(matplotlib.rcParams) != before
        figure = new_figure("column", 20)
    path = save_figure(figure, tmp_path / "a.png")
    with pytest.raises(FileExistsError, match="give --overwrite"):
        save_figure(figure, path)
    first = path.read_bytes()
    assert save_figure(figure, path, overwrite=True).read_bytes() == first
    assert dict(matplotlib.rcParams) == before
    with pytest.raises(ValueError, match=r"pictures end in \.png or \.svg"):
        save_figure(figure, tmp_path / "a.jpg")


def test_a_picture_in_memory_is_that_of_the_file(tmp_path: Path) -> None:
    with style():
        figure = new_figure("column", 20)
    assert picture_bytes(figure) == save_figure(figure, tmp_path / "a.png").read_bytes()
    photograph = Image.open(io.BytesIO(picture_bytes(figure, "jpeg", dpi=100)))
    assert photograph.format == "JPEG" and abs(photograph.width - 85 / 25.4 * 100) < 2


def test_marks_differ_and_right_is_not_wrong() -> None:
    assert len(set(marks_of(list(range(48))).values())) == 48
    assert (RIGHT_COLOUR, WRONG_COLOUR) == ("#0072B2", "#D55E00")
