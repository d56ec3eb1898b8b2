"""Bar charts: lengths in pixels, labels that stay inside, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from promptreid.runs.tables.bars import COLOURS, Bar, draw_bars, png_bytes


def lengths(image: Image.Image, colour: str) -> list[int]:
    """The longest run of each band of rows that has this colour, from top to bottom."""
    wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    alike = (np.abs(np.asarray(image).astype(int) - wanted) < 8).all(axis=2).sum(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], alike > 20, [0]])))
    return [int(alike[top:bottom].max()) for top, bottom in zip(edges[::2], edges[1::2], strict=True)]


def test_bars_are_as_long_as_their_values() -> None:
    image = draw_bars({"mAP": [Bar(0.4), Bar(0.2), Bar(0.1)]}, ["a", "b", "c"], "title")
    assert image.width == 1000
    first, second, third = lengths(image, COLOURS[0])
    assert first / second == pytest.approx(2, rel=0.02)
    assert first / third == pytest.approx(4, rel=0.02)
    assert first > 600


def test_series_stand_side_by_side_with_a_legend_in_their_colours() -> None:
    values = {"mAP": [Bar(0.4), Bar(0.3)], "R1": [Bar(0.2), Bar(0.3)]}
    image = draw_bars(values, ["a", "b"], "title")
    blue, orange = (lengths(image, colour) for colour in COLOURS[:2])
    assert blue[0] / orange[0] == pytest.approx(2, rel=0.02)
    assert blue[1] == pytest.approx(orange[1], abs=2)
    assert image.height > draw_bars({"mAP": values["mAP"]}, ["a", "b"], "title").height


def test_whiskers_reach_one_standard_deviation_to_either_side() -> None:
    plain, whiskered = (draw_bars({"mAP": [Bar(0.8), Bar(0.4, sd)]}, ["a", "b"], "") for sd in (0.0, 0.1))
    length = lengths(plain, COLOURS[0])[1]
    blue = np.flatnonzero((np.abs(np.asarray(plain).astype(int) - [0, 0x72, 0xB2]) < 8).all(axis=2).any(axis=0))
    darker = np.asarray(plain.convert("L")).astype(int) - np.asarray(whiskered.convert("L")) > 30
    low, high = (blue.min() + length * value / 0.4 for value in (0.3, 0.5))
    places = np.flatnonzero(darker[:, : int(high) + 3].any(axis=0))  # behind that is the number
    assert (places.min(), places.max()) == pytest.approx((low, high), abs=3)


def test_a_long_label_leaves_half_of_the_picture_to_the_bars() -> None:
    image = draw_bars({"mAP": [Bar(1.0)]}, ["a very long name of a row " * 10], "title")
    assert lengths(image, COLOURS[0])[0] > 400
    assert (np.asarray(image)[:, :4] == 255).all()  # nothing in the margin


def test_nothing_but_zeros_can_be_drawn() -> None:
    assert lengths(draw_bars({"mAP": [Bar(0.0)]}, ["a"], ""), COLOURS[0]) == []


def test_it_is_written_as_png_and_the_same_every_time() -> None:
    one, two = (png_bytes(draw_bars({"mAP": [Bar(0.5, 0.1)]}, ["a"], "title")) for _ in range(2))
    assert one == two
    assert Image.open(io.BytesIO(one)).format == "PNG"


@pytest.mark.parametrize(
    ("series", "groups", "width", "message"),
    [
        ({}, ["a"], 1000, "series: 0 of 1"),
        ({"mAP": []}, [], 1000, "at least one"),
        ({str(number): [Bar(0.1)] for number in range(9)}, ["a"], 1000, "1 to 8"),
        ({"mAP": [Bar(0.1)]}, ["a", "b"], 1000, "'mAP' has 1 bars for 2 groups"),
        ({"mAP": [Bar(0.1)]}, ["a"], 100, "at least 400"),
    ],
)
def test_what_is_refused(series: dict[str, list[Bar]], groups: list[str], width: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_bars(series, groups, "title", width)
