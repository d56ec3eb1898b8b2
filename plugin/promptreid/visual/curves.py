"""Curves over epochs or ranks: a panel per measure, a line per run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptreid.visual.figures import MARKERS, OKABE_ITO, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 3
_PANEL = 42.0  # millimetres high
_FEW = 30  # points of a line that get a mark each
_LINES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Curve:
    """A line.

    Attributes:
        label: in the legend; the same label looks the same in every panel.
        x, y: as many numbers.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]


def curves_figure(
    panels: Mapping[str, Sequence[Curve]], *, xlabel: str = "epoch", width: str = "page", title: str = ""
) -> Figure:
    """Draw the panels in rows of three.

    Args:
        panels: lines by the title of their panel; at least one.
        xlabel: below the panels.
        width: ``"column"`` or ``"page"``.
        title: above all.

    Raises:
        ValueError: nothing to draw.
    """
    if not any(panels.values()):
        raise ValueError("curves: there is nothing to draw")
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    labels = list(dict.fromkeys(curve.label for curves in panels.values() for curve in curves))
    looks = {label: _look(number) for number, label in enumerate(labels)}
    with style():
        figure = new_figure(width, rows * _PANEL + 6 + 3 * len(labels) + (5 if title else 0))
        figure.suptitle(title)
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, (name, curves) in zip(grid, panels.items(), strict=False):
            for curve in curves:
                mark = looks[curve.label]["marker"] if len(curve.x) <= _FEW else ""
                axes.plot(curve.x, curve.y, **{**looks[curve.label], "marker": mark}, label=curve.label)
            axes.set(title=name, xlabel=xlabel)
            axes.grid(linewidth=0.3, color="#DDDDDD")
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        lines = {str(line.get_label()): line for axes in figure.axes for line in axes.get_lines()}
        figure.legend(list(lines.values()), list(lines), loc="outside lower left", frameon=False)
    return figure


def _look(number: int) -> dict[str, Any]:
    return {
        "color": OKABE_ITO[number % len(OKABE_ITO)],
        "linestyle": _LINES[number % len(_LINES)],  # where lines coincide, each is seen
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 2.5,
    }
