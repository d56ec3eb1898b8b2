"""A picture of a table: mAP against what a row costs, drawn with Pillow alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from promptreid.files import atomic_write
from promptreid.runs.tables.bars import COLOURS, png_bytes
from promptreid.runs.tables.render import ResultTable

_INK, _GRID, _FADED = "#222222", "#dddddd", "#666666"
_SCALE = 2  # drawn larger and scaled down, so that edges are smooth
_MARGIN, _TEXT, _TITLE, _AXIS, _LINE = 16, 14, 18, 46, 20
_HEIGHT = 360  # of a panel


class Point(NamedTuple):
    """A row: what it costs, its mean mAP in [0, 1] and the standard deviation of that."""

    name: str
    cost: float
    mean: float
    sd: float = 0.0


def draw_scatter(panels: Mapping[str, Sequence[Point]], title: str, width: int = 1000) -> Image.Image:
    """A panel for each kind of cost, side by side, with one point for each row and one legend for all.

    Whiskers are one standard deviation to either side. Both axes are linear, that of the costs from zero.

    Args:
        panels: by the axis's name, points of the same rows in the same order; rows may be missing from a panel.
        title: above the picture.
        width: in pixels, at least 400.

    Raises:
        ValueError: nothing to draw, or a picture too narrow.
    """
    panels = {name: points for name, points in panels.items() if points}
    if not panels or width < 400:
        raise ValueError(f"panels, width: {len(panels)} with points, {width}; draw at least one, of 400 pixels or more")
    names = list(dict.fromkeys(point.name for points in panels.values() for point in points))
    height = 2 * _MARGIN + 2 * _TITLE + _HEIGHT + _LINE * (len(names) + 1)
    image = Image.new("RGB", (_SCALE * width, _SCALE * height), "white")
    pen = _Pen(ImageDraw.Draw(image))
    pen.write((_MARGIN, _MARGIN + _TITLE / 2), title, size=_TITLE)
    share = (width - 2 * _MARGIN) / len(panels)
    top = _MARGIN + 2 * _TITLE
    for number, (name, points) in enumerate(panels.items()):
        left = _MARGIN + number * share
        box = (left + _AXIS, top, left + share - _MARGIN, top + _HEIGHT - _AXIS)
        _draw_panel(pen, box, name, points, names)
    for number, name in enumerate(names):
        y = top + _HEIGHT + _LINE * (number + 0.5)
        pen.dot((_MARGIN + 6, y), _colour(number), number)
        pen.write((_MARGIN + 20, y), name)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def save_picture(table: ResultTable, path: Path) -> None:
    """Draw mAP of the headline protocol against trained parameters, and against step time where it was measured.

    Raises:
        ValueError: a file that isn't called ``.png``.
    """
    if path.suffix != ".png":
        raise ValueError(f"--picture {path}: pictures of tables end in .png")
    first = table.lines[0]
    shown = [line for line in table.lines if (line.protocol, line.condition) == (first.protocol, first.condition)]
    parameters, times = [], []
    for line in shown:
        score = (line.scores["mAP"]["mean"], line.scores["mAP"]["sd"])
        parameters.append(Point(line.row.name, line.cost.trained / 1e6, *score))
        ratio = table.step_ratio(line)
        if not math.isnan(ratio):
            times.append(Point(line.row.name, ratio, *score))
    panels = {"trained parameters, M": parameters, "time of a step": times}
    picture = draw_scatter(panels, f"{table.published.title}: mAP, {first.protocol}")
    with atomic_write(path) as file:
        file.write(png_bytes(picture))


def _draw_panel(
    pen: _Pen, box: tuple[float, float, float, float], name: str, points: Sequence[Point], names: Sequence[str]
) -> None:
    left, top, right, bottom = box
    low = min(100 * (point.mean - point.sd) for point in points)
    high = max(100 * (point.mean + point.sd) for point in points)
    across, up = _ticks(0.0, max(point.cost for point in points)), _ticks(low, high)

    def place(cost: float, score: float) -> tuple[float, float]:
        x = left + (right - left) * (cost - across[0]) / (across[-1] - across[0])
        return x, bottom - (bottom - top) * (score - up[0]) / (up[-1] - up[0])

    for tick in across:
        x = place(tick, up[0])[0]
        pen.line((x, top), (x, bottom), _GRID)
        pen.write((x, bottom + _TEXT), f"{tick:g}", anchor="mm", fill=_FADED)
    for tick in up:
        y = place(across[0], tick)[1]
        pen.line((left, y), (right, y), _GRID)
        pen.write((left - 6, y), f"{tick:g}", anchor="rm", fill=_FADED)
    pen.write(((left + right) / 2, bottom + 2.4 * _TEXT), name, anchor="mm")
    for point in points:
        number = names.index(point.name)
        mean, sd = 100 * point.mean, 100 * point.sd
        pen.line(place(point.cost, mean - sd), place(point.cost, mean + sd), _colour(number))
        pen.dot(place(point.cost, mean), _colour(number), number)


class _Pen:
    """Draws in pixels of the finished picture."""

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self.draw = draw

    def write(
        self, place: tuple[float, float], text: str, anchor: str = "lm", size: int = _TEXT, fill: str = _INK
    ) -> None:
        self.draw.text(_scaled(place), text, fill=fill, font=ImageFont.load_default(_SCALE * size), anchor=anchor)

    def line(self, start: tuple[float, float], end: tuple[float, float], fill: str) -> None:
        self.draw.line([_scaled(start), _scaled(end)], fill=fill, width=_SCALE)

    def dot(self, place: tuple[float, float], fill: str, number: int) -> None:
        """Round for the first rows, square where colours come a second time, hollow after that."""
        corners = [_scaled((place[0] - 5, place[1] - 5)), _scaled((place[0] + 5, place[1] + 5))]
        kind = number // len(COLOURS)
        inside = fill if kind < 2 else "white"
        (self.draw.ellipse if kind != 1 else self.draw.rectangle)(corners, fill=inside, outline=fill, width=2 * _SCALE)


def _ticks(low: float, high: float) -> list[float]:
    """Four to ten round numbers that hold both; two where these are one."""
    span = high - low or 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 8)
    first, last = math.floor(low / step), max(math.ceil(high / step - 1e-9), math.floor(low / step) + 1)
    return [number * step for number in range(first, last + 1)]


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _scaled(place: tuple[float, float]) -> tuple[float, float]:
    return _SCALE * place[0], _SCALE * place[1]
