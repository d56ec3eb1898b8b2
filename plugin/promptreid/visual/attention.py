"""Attention maps over the images: of the class token, of each prompt, and through all blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from promptreid.visual.figures import WIDTHS, bare, new_figure, style, tighten
from promptreid.visual.tiles import Tile, draw_tile

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class AttentionRow:
    """An image and heat maps over it.

    Attributes:
        tile: the image.
        maps: (rows, columns) each, >= 0, by their titles, which are the same in each row; None leaves a place free.
        label: at the left, such as the band.
    """

    tile: Tile
    maps: dict[str, np.ndarray | None]
    label: str = ""


def attention_figure(rows: Sequence[AttentionRow], *, width: str = "page", title: str = "", note: str = "") -> Figure:
    """Draw a row per image: the image, then each map over it, dark without attention.

    Each map has its own scale, from 0 to its largest value, which is written below in multiples of what every patch
    would get if all got the same: 1.0 means that nothing stands out.

    Args:
        rows: at least one.
        width: ``"column"`` or ``"page"``.
        title: above.
        note: below.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("attention: there is no image to draw")
    titles = list(dict.fromkeys(name for row in rows for name in row.maps))
    height, wide = rows[0].tile.pixels.shape[:2]
    high = min(((WIDTHS[width] - 5) / (1 + len(titles)) - 1.2) * height / wide, 40)
    with style():
        figure = new_figure(width, len(rows) * (high + 3.2) + 11 + (3 if note else 0))
        tighten(figure)
        figure.suptitle(title)
        if note:
            figure.supxlabel(note, fontsize=5.5)
        grid = figure.subplots(len(rows), 1 + len(titles), squeeze=False)
        for number, (axes, row) in enumerate(zip(grid, rows, strict=True)):
            draw_tile(axes[0], row.tile)
            axes[0].set_ylabel(row.label)
            for axis, name in zip(axes[1:], titles, strict=True):
                _draw_map(axis, row.tile, row.maps.get(name))
                if number == 0:
                    axis.set_title(name, fontsize=5, pad=2)
    return figure


def over(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The image (H, W, 3), grey and dimmed, under a map (rows, columns), as (H, W, 3) uint8."""
    from matplotlib import colormaps

    top = float(heat.max())
    scaled = heat / top if np.isfinite(top) and top > 0 else np.zeros_like(heat)
    size = (pixels.shape[1], pixels.shape[0])
    large = np.asarray(Image.fromarray(scaled.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)).clip(0, 1)
    grey = pixels.mean(axis=2, keepdims=True) / 255
    colour = colormaps["inferno"](large)[..., :3]
    return ((0.4 * grey + 0.6 * colour) * 255).round().astype(np.uint8)


def _draw_map(axes: Any, tile: Tile, heat: np.ndarray | None) -> None:
    bare(axes)
    if heat is None:
        axes.set_axis_off()
        return
    axes.imshow(over(tile.pixels, heat), aspect="equal")
    total = float(heat.sum())
    times = float(heat.max()) * heat.size / total if total > 0 else float("nan")
    axes.set_xlabel(f"{times:.1f}×", fontsize=5, labelpad=1)
