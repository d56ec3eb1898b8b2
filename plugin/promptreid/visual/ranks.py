"""Ranked lists as a figure: each query with all its bands and its results, in the evaluator's order.

A right image has a blue frame and a tick, a wrong one an orange frame and a cross: no reader depends on colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptreid.data.images import read_images
from promptreid.visual.figures import RIGHT_COLOUR, WIDTHS, WRONG_COLOUR, new_figure, style
from promptreid.visual.rank_lists import Shown
from promptreid.visual.tiles import Reader, draw_tile, tile_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUERY_COLOUR = "#000000"
_PIXELS = 128  # of a tile's longer side
_TEXT = 2.4  # millimetres of a line of text
_LEFT, _RIGHT = 6.0, 1.0


@dataclass(frozen=True)
class RankRow:
    """Query and its ranked images.

    Attributes:
        query: its images and caption.
        gallery: nearest first; may be empty.
        title: a line above.
        bands: short names of the bands, from top to bottom.
    """

    query: Shown
    gallery: Sequence[Shown]
    title: str = ""
    bands: Sequence[str] = ()


def ranks_figure(
    rows: Sequence[RankRow],
    *,
    size: tuple[int, int] = (256, 128),
    width: str = "page",
    title: str = "",
    read: Reader = read_images,
) -> Figure:
    """One row of images per query; of samples with several images, one below the other.

    Args:
        rows: at least one.
        size: height and width whose proportions each image gets.
        width: ``"column"`` or ``"page"``.
        title: above all.
        read: makes RGB images of paths.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("ranks: there is no query to draw")
    columns = 1 + max(len(row.gallery) for row in rows)
    cell = min((WIDTHS[width] - _LEFT - _RIGHT) / (columns + 0.4), 18.0)
    image = cell * 0.88 * size[0] / size[1]
    heights = [_height(row, image) for row in rows]
    top = 2 * _TEXT if title else 0.0
    with style():
        total = top + sum(heights)
        figure = new_figure(width, total)
        figure.set_layout_engine("none")
        if title:
            figure.text(_RIGHT / WIDTHS[width], 1 - _TEXT / total, title, va="center", fontsize=7)
        for row, height in zip(rows, heights, strict=True):
            _draw_row(figure, row, top, (cell, image), size, read)
            top += height
    return figure


def _height(row: RankRow, image: float) -> float:
    bands = max(len(shown.files) for shown in (row.query, *row.gallery))
    lines = max(len(shown.caption) for shown in (row.query, *row.gallery))
    return (2.9 if row.title else 1.2) * _TEXT + bands * (image + 1.0) + (lines + 0.6) * _TEXT


def _draw_row(
    figure: Any, row: RankRow, top: float, cell: tuple[float, float], size: tuple[int, int], read: Reader
) -> None:
    wide, high = (25.4 * inches for inches in figure.get_size_inches())
    step, image = cell

    def text(x: float, y: float, what: str, **settings: Any) -> None:
        figure.text(x / wide, 1 - y / high, what, va="center", **{"fontsize": 5.5, **settings})

    if row.title:
        text(_RIGHT, top + 0.6 * _TEXT, row.title, fontsize=6)
    top += (1.9 if row.title else 0.6) * _TEXT
    pixels = tuple(round(_PIXELS * side / max(size)) for side in size)
    bands = max(len(shown.files) for shown in (row.query, *row.gallery))
    for band, name in enumerate(row.bands if bands > 1 else ()):
        text(_RIGHT, top + 0.6 * _TEXT + (band + 0.5) * (image + 1.0), name)
    for place, shown in enumerate((row.query, *row.gallery)):
        x = _LEFT + place * step + (0.4 * step if place else 0.0)
        colour, mark = _verdict(shown.right)
        text(x, top, f"{place} {mark}" if place else "query", color=colour, fontsize=6, fontfamily="DejaVu Sans")
        for number, file in enumerate(shown.files):
            y = top + 0.6 * _TEXT + number * (image + 1.0)
            place_of = (x / wide, 1 - (y + image) / high, 0.88 * step / wide, image / high)
            draw_tile(figure.add_axes(place_of), tile_of(file, (pixels[0], pixels[1]), read), colour, 1.4)
        for number, line in enumerate(shown.caption):
            text(x, top + (1.2 + number) * _TEXT + len(shown.files) * (image + 1.0), line, fontsize=5)


def _verdict(right: bool | None) -> tuple[str, str]:
    if right is None:
        return QUERY_COLOUR, ""
    return (RIGHT_COLOUR, "✓") if right else (WRONG_COLOUR, "✗")
