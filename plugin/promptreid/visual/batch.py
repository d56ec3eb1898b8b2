"""Input of a model: a batch after augmentation, scaled back to the range of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from promptreid.evaluation.missing.conditions import short_name
from promptreid.visual.figures import BAND_COLOURS, WIDTHS, new_figure, style, tighten
from promptreid.visual.tiles import Tile, draw_tile

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def denormalised(images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Images (..., 3, H, W) as the model gets them, as pixels (..., H, W, 3) uint8; NaN becomes black."""
    shape = (3, 1, 1)
    values = images * np.reshape(std, shape) + np.reshape(mean, shape)
    pixels = np.moveaxis(np.nan_to_num(values, nan=0.0), -3, -1)
    return (pixels.clip(0, 1) * 255).round().astype(np.uint8)


def batch_figure(
    images: np.ndarray,
    modality: np.ndarray,
    present: np.ndarray,
    *,
    modalities: Sequence[str],
    captions: Sequence[str] = (),
    columns: int = 16,
    width: str = "page",
    title: str = "",
) -> Figure:
    """Draw a row of images for each band.

    Args:
        images: (B, M, H, W, 3) uint8; see :func:`denormalised`.
        modality: (B, M), indices into ``modalities``.
        present: (B, M) bool; what is missing is a grey tile where samples have several images.
        modalities: their names.
        captions: of the samples, such as their identities.
        columns: images of a band at most, the first ones.
        width: ``"column"`` or ``"page"``.
        title: above.

    Raises:
        ValueError: no images.
    """
    if not images.size:
        raise ValueError("batch: it has no images")
    several = images.shape[1] > 1
    rows: dict[int, list[tuple[Tile, str]]] = {}
    for sample, slot in np.ndindex(modality.shape):
        if several or present[sample, slot]:
            tile = Tile(images[sample, slot], "" if present[sample, slot] else "missing")
            row = rows.setdefault(int(modality[sample, slot]), [])
            row.append((tile, captions[sample] if captions else ""))
    count = min(columns, max(len(row) for row in rows.values()))
    high = ((WIDTHS[width] - 5) / count - 1.2) * images.shape[2] / images.shape[3]
    with style():
        figure = new_figure(width, len(rows) * (min(high, 45) + 3.5) + 6)
        tighten(figure)
        figure.suptitle(title)
        grid = figure.subplots(len(rows), count, squeeze=False)
        for axes, (number, row) in zip(grid, sorted(rows.items()), strict=True):
            name = modalities[number]
            for axis in axes[len(row) :]:
                axis.set_axis_off()
            for axis, (tile, caption) in zip(axes, row, strict=False):
                draw_tile(axis, tile, BAND_COLOURS.get(name, "#000000"), 0.8)
                axis.set_title(caption, fontsize=5, pad=1.5)
            axes[0].set_ylabel(short_name(name))
    return figure
