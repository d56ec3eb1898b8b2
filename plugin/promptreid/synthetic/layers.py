"""Layers of polygons, and how they become a map that says which part shows where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from promptreid.synthetic.patterns import Polygon

Image = NDArray[np.uint8]

OVERSAMPLING = 2
SUBPIXEL_BITS = 4


class Layer(NamedTuple):
    """Polygons of one part; with ``within``, painted only where that part shows already."""

    part: IntEnum
    polygons: list[Polygon]
    within: IntEnum | None = None


def paint_layers(
    layers: Sequence[Layer], project: Callable[[NDArray[np.float64]], NDArray[np.float64]], size: tuple[int, int]
) -> Image:
    """Paint layers one over the other, at twice the size.

    Args:
        layers: From the back to the front.
        project: From the layers' coordinates (N, 2) to shares of the picture's width and height, (N, 2).
        size: Height and width of the picture in pixels.

    Returns:
        (2H, 2W) uint8: the part that shows, 0 where none does.
    """
    corners = [point for layer in layers for polygon in layer.polygons for point in polygon]
    shares = project(np.array(corners, dtype=np.float64))
    scale = np.array([size[1], size[0]], dtype=np.float64) * (OVERSAMPLING << SUBPIXEL_BITS)
    points = np.floor(shares * scale).astype(np.int32)
    parts = np.zeros((size[0] * OVERSAMPLING, size[1] * OVERSAMPLING), dtype=np.uint8)
    start = 0
    for layer in layers:
        polygons = []
        for polygon in layer.polygons:
            polygons.append(points[start : start + len(polygon)])
            start += len(polygon)
        _paint(parts, layer, polygons)
    return parts


def _paint(parts: Image, layer: Layer, polygons: list[NDArray[np.int32]]) -> None:
    if layer.within is None:
        for polygon in polygons:
            cv2.fillPoly(parts, [polygon], int(layer.part), shift=SUBPIXEL_BITS)
        return
    stencil = np.zeros_like(parts)
    for polygon in polygons:
        cv2.fillPoly(stencil, [polygon], 1, shift=SUBPIXEL_BITS)
    parts[(stencil == 1) & (parts == layer.within)] = layer.part
