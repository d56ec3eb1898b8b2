"""Bar charts with whiskers, drawn with Pillow alone."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#888888", "#f0e442")
"""Okabe and Ito's, which colour-blind readers can tell apart too; as many series can be drawn."""
_INK, _GRID, _FADED = "#222222", "#dddddd", "#666666"
_SCALE = 2  # drawn larger and scaled down, so that edges are smooth
_MARGIN, _BAR, _GAP, _TEXT, _TITLE = 16, 18, 14, 14, 18
_VALUE_ROOM = 90  # behind the longest bar, for its number
_TICKS = 5


class Bar(NamedTuple):
    """A value in [0, 1] and its standard deviation."""

    mean: float
    sd: float = 0.0


def draw_bars(series: Mapping[str, Sequence[Bar]], groups: Sequence[str], title: str, width: int = 1000) -> Image.Image:
    """Horizontal bars in per cent, a group below the other, with whiskers of one standard deviation to either side.

    Args:
        series: by name, a bar for each group; a legend tells several apart.
        groups: their labels, cut where they would leave less than half of the width to the bars.
        title: above the chart.
        width: of the picture, in pixels, at least 400; the height follows from the number of bars.

    Raises:
        ValueError: nothing to draw, more series than colours, a series of another length, or a picture too narrow.
    """
    if not series or not groups or len(series) > len(COLOURS):
        raise ValueError(f"series: {len(series)} of {len(groups)} groups; draw 1 to {len(COLOURS)} of at least one")
    for name, bars in series.items():
        if len(bars) != len(groups):
            raise ValueError(f"series {name!r} has {len(bars)} bars for {len(groups)} groups")
    if width < 400:
        raise ValueError(f"width {width}: bars and labels need at least 400 pixels")
    return _Chart(series, groups, width).draw(title)


def png_bytes(image: Image.Image) -> bytes:
    """A picture as the content of a ``.png`` file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


class _Chart:
    """The places of everything, in pixels of the finished picture."""

    def __init__(self, series: Mapping[str, Sequence[Bar]], groups: Sequence[str], width: int) -> None:
        self.series, self.groups, self.width = series, groups, width
        self.legend = len(series) > 1
        self.top = _MARGIN + 2 * _TITLE + (2 * _TEXT if self.legend else 0)
        self.pitch = _BAR * len(series) + _GAP
        self.bottom = self.top + self.pitch * len(groups)
        self.height = self.bottom + 2 * _TEXT + _MARGIN
        self.image = Image.new("RGB", (_SCALE * width, _SCALE * self.height), "white")
        self.pen = ImageDraw.Draw(self.image)
        self.labels = [self._shortened(name) for name in groups]
        self.left = _MARGIN + max(self._length(label) for label in self.labels) + 10
        self.right = width - _MARGIN - _VALUE_ROOM
        largest = max(100 * (bar.mean + bar.sd) for bars in series.values() for bar in bars)
        self.step = _nice(max(largest, 1e-9) / _TICKS)
        self.end = self.step * math.ceil(max(largest, 1e-9) / self.step - 1e-9)

    def draw(self, title: str) -> Image.Image:
        self._write((_MARGIN, _MARGIN + _TITLE / 2), title, size=_TITLE)
        if self.legend:
            self._draw_legend()
        self._draw_grid()
        for number, label in enumerate(self.labels):
            top = self.top + number * self.pitch + _GAP / 2
            middle = top + _BAR * len(self.series) / 2
            self._write((self.left - 10, middle), label, anchor="rm")
            for place, (bars, colour) in enumerate(zip(self.series.values(), COLOURS, strict=False)):
                self._draw_bar(bars[number], top + place * _BAR, colour)
        self._line((self.left, self.top), (self.left, self.bottom), _INK)
        return self.image.resize((self.width, self.height), Image.Resampling.LANCZOS)

    def _draw_legend(self) -> None:
        x, y = float(_MARGIN), _MARGIN + 2 * _TITLE
        for name, colour in zip(self.series, COLOURS, strict=False):
            self._box((x, y - 6), (x + 12, y + 6), colour)
            self._write((x + 18, y), name)
            x += 18 + self._length(name) + 24

    def _draw_grid(self) -> None:
        for number in range(round(self.end / self.step) + 1):
            value = number * self.step
            x = self._x(value)
            self._line((x, self.top), (x, self.bottom), _GRID)
            self._write((x, self.bottom + _TEXT), f"{value:g}", anchor="mm", fill=_FADED)
        self._write((self.width - _MARGIN, self.bottom + _TEXT), "%", anchor="rm", fill=_FADED)

    def _draw_bar(self, bar: Bar, top: float, colour: str) -> None:
        mean, sd = 100 * bar.mean, 100 * bar.sd
        self._box((self.left, top + 1), (self._x(mean), top + _BAR - 1), colour)
        middle, low, high = top + _BAR / 2, self._x(max(mean - sd, 0.0)), self._x(mean + sd)
        if sd:
            self._line((low, middle), (high, middle), _INK)
            for x in (low, high):
                self._line((x, middle - 4), (x, middle + 4), _INK)
        text = f"{mean:.1f} ± {sd:.1f}" if sd else f"{mean:.1f}"
        self._write((high + 6, middle), text, fill=_FADED)

    def _x(self, value: float) -> float:
        return self.left + (self.right - self.left) * value / self.end

    def _shortened(self, text: str) -> str:
        room = self.width / 2 - _VALUE_ROOM - 2 * _MARGIN
        if self._length(text) <= room:
            return text
        while self._length(f"{text}…") > room:
            text = text[:-1]
        return f"{text}…"

    def _length(self, text: str) -> float:
        return self.pen.textlength(text, font=_font(_TEXT)) / _SCALE

    def _write(
        self, place: tuple[float, float], text: str, anchor: str = "lm", size: int = _TEXT, fill: str = _INK
    ) -> None:
        self.pen.text(_scaled(place), text, fill=fill, font=_font(size), anchor=anchor)

    def _line(self, start: tuple[float, float], end: tuple[float, float], fill: str) -> None:
        self.pen.line([_scaled(start), _scaled(end)], fill=fill, width=_SCALE)

    def _box(self, corner: tuple[float, float], opposite: tuple[float, float], fill: str) -> None:
        self.pen.rectangle([_scaled(corner), _scaled((max(opposite[0], corner[0]), opposite[1]))], fill=fill)


def _scaled(place: tuple[float, float]) -> tuple[float, float]:
    return _SCALE * place[0], _SCALE * place[1]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_SCALE * size)


def _nice(step: float) -> float:
    """The next larger of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))
