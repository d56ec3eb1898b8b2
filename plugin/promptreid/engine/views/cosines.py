"""How alike the learned prompts are, between modalities and layers: a matrix of cosines, and its picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import ImageDraw
from torch import Tensor

from promptreid.engine.views.canvas import GAP, LINE, MARGIN, blank, pixels_of, widest, write

ZERO, PLUS, MINUS = (247, 247, 247), (178, 24, 43), (33, 102, 172)
"""Colours of the cosines 0, 1 and -1; those between are mixed."""
_UNDEFINED = (120, 120, 120)
_CELL, _SMALL_CELL, _MANY = 18, 12, 40
_BAR = 12


@dataclass(frozen=True, eq=False)
class CosineMap:
    """Cosines between the means of prompt sets.

    Attributes:
        groups: name and number of sets of each group, in the order of the rows.
        labels: (N,) names of the sets within their groups.
        values: (N, N) float32 in [-1, 1]; nan where a mean is zero.
    """

    groups: tuple[tuple[str, int], ...]
    labels: tuple[str, ...]
    values: np.ndarray


@torch.no_grad()
def cosine_map(prompts: Mapping[str, Mapping[str, Tensor]]) -> CosineMap | None:
    """The cosine between the mean prompts of each two sets; means do not depend on the order of prompts.

    Args:
        prompts: by group and name, sets of prompts (j, D) of one D.

    Returns:
        None where there are fewer than two sets.
    """
    sets = [(group, name, vectors) for group, own in prompts.items() for name, vectors in own.items()]
    if len(sets) < 2:
        return None
    means = torch.stack([vectors.detach().float().mean(dim=0) for *_, vectors in sets])
    unit = F.normalize(means, dim=1)
    values = (unit @ unit.T).clamp(-1, 1)
    gone = ~(means.norm(dim=1) > 0)
    values[gone] = torch.nan
    values[:, gone] = torch.nan
    groups = tuple((group, len(own)) for group, own in prompts.items() if own)
    return CosineMap(groups, tuple(name for _, name, _ in sets), values.cpu().numpy())


def draw_cosines(found: CosineMap, title: str = "") -> np.ndarray:
    """The matrix with its labels, lines between groups, and a scale; (H, W, 3) uint8."""
    count = len(found.labels)
    cell = _CELL if count <= _MANY else _SMALL_CELL
    names = [name for name, _ in found.groups]
    inner = widest(found.labels) + GAP
    left = MARGIN + widest(names) + GAP + inner
    top = MARGIN + 2 * (LINE + GAP) + LINE
    side = count * cell
    scale = left + side + 2 * MARGIN
    wide = max(scale + _BAR + GAP + widest(["-1.0"]), MARGIN + widest([title])) + MARGIN
    height = max(side, 4 * LINE)  # the scale's
    canvas, pen = blank(wide, top + height + MARGIN)
    write(pen, (MARGIN, MARGIN), title)
    for row, column in np.ndindex(count, count):
        corner = (left + column * cell, top + row * cell)
        pen.rectangle(
            (*corner, corner[0] + cell - 1, corner[1] + cell - 1), fill=colour_of(float(found.values[row, column]))
        )
    _write_labels(pen, found, (left, top), cell, inner)
    _draw_scale(pen, (scale, top), height)
    return pixels_of(canvas)


def colour_of(cosine: float) -> tuple[int, int, int]:
    """From blue over white to red; grey where it is not defined."""
    if np.isnan(cosine):
        return _UNDEFINED
    end, share = (PLUS if cosine > 0 else MINUS), min(1.0, abs(float(cosine)))
    red, green, blue = (round((1 - share) * low + share * high) for low, high in zip(ZERO, end, strict=True))
    return red, green, blue


def _write_labels(pen: ImageDraw.ImageDraw, found: CosineMap, place: tuple[int, int], cell: int, inner: int) -> None:
    left, top = place
    side = len(found.labels) * cell
    for number, label in enumerate(found.labels):
        y = top + number * cell + (cell - LINE) // 2
        write(pen, (left - inner, y), label)
        if widest([label]) < cell:  # a longer one is told by the rows, which have the same order
            write(pen, (left + number * cell + (cell - widest([label])) // 2, top - LINE - 2), label)
    start = 0
    for name, size in found.groups:
        write(pen, (MARGIN, top + start * cell + (cell - LINE) // 2), name)
        if widest([name]) < size * cell:
            write(pen, (left + start * cell, top - 2 * LINE - 4), name)
        start += size
        if start < len(found.labels):
            pen.line((left, top + start * cell - 1, left + side, top + start * cell - 1), fill="black")
            pen.line((left + start * cell - 1, top, left + start * cell - 1, top + side), fill="black")


def _draw_scale(pen: ImageDraw.ImageDraw, place: tuple[int, int], height: int) -> None:
    left, top = place
    for y in range(height):
        pen.line((left, top + y, left + _BAR, top + y), fill=colour_of(1 - 2 * y / (height - 1)))
    for value in (1.0, 0.0, -1.0):
        write(pen, (left + _BAR + GAP, top + round((1 - value) / 2 * (height - LINE))), f"{value:.1f}")
