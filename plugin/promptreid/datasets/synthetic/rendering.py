"""Paints a person before a camera in a band, in integers from the first pixel to the last.

Polygons are painted into a map of parts at twice the size; each part gets its value in the band; the result is halved
in size, lit, blurred, and goes through the sensor.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from promptreid.datasets.synthetic.cameras import BACKDROP, Camera, Sensor, backdrop
from promptreid.datasets.synthetic.figure import Layer, figure
from promptreid.datasets.synthetic.frames import Frame
from promptreid.datasets.synthetic.identity import Identity
from promptreid.datasets.synthetic.materials import BANDS, Part

Image = NDArray[np.uint8]

OVERSAMPLING = 2
SUBPIXEL_BITS = 4


def _project(points: NDArray[np.float64], camera: Camera, frame: Frame, size: tuple[int, int]) -> NDArray[np.int32]:
    """Body coordinates (N, 2) to fixed-point positions on the map, (N, 2) int32."""
    view, pose = camera.viewpoint, frame.pose
    x, y = points[:, 0], points[:, 1]
    across = x * (view.widen * pose.turn) * (1.0 + view.taper * (0.5 - y)) + (view.shear + pose.lean) * (0.5 - y)
    down = y + view.pitch * y * (1.0 - y)
    if frame.mirror:
        across = -across
    zoom = view.scale * frame.zoom
    share = np.stack((0.5 + 2.0 * zoom * across + frame.shift[0], 0.5 + zoom * (down - 0.5) + frame.shift[1]), axis=1)
    scale = np.array([size[1], size[0]], dtype=np.float64) * (OVERSAMPLING << SUBPIXEL_BITS)
    return np.floor(share * scale).astype(np.int32)


def part_map(person: Identity, camera: Camera, frame: Frame, size: tuple[int, int]) -> Image:
    """Which part shows where, at twice the size: (2H, 2W) uint8 of :class:`Part`. It is the same in every band."""
    layers = figure(person, frame)
    corners = [point for layer in layers for polygon in layer.polygons for point in polygon]
    points = _project(np.array(corners, dtype=np.float64), camera, frame, size)
    parts = np.zeros((size[0] * OVERSAMPLING, size[1] * OVERSAMPLING), dtype=np.uint8)
    start = 0
    for layer in layers:
        polygons = []
        for polygon in layer.polygons:
            polygons.append(points[start : start + len(polygon)])
            start += len(polygon)
        _paint(parts, layer, polygons)
    if frame.occluder is not None:
        left, top, right, bottom = frame.occluder.box
        rows, columns = parts.shape
        parts[int(top * rows) : int(bottom * rows), int(left * columns) : int(right * columns)] = Part.OCCLUDER
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


def _smooth(coarse: bytes, rows: int, size: tuple[int, int]) -> NDArray[np.uint16]:
    grid = np.frombuffer(coarse, dtype=np.uint8).reshape(rows, -1)
    return cv2.resize(grid, (size[1], size[0]), interpolation=cv2.INTER_LINEAR_EXACT).astype(np.uint16)


def _light(frame: Frame, size: tuple[int, int]) -> NDArray[np.uint16]:
    """Sun and shade (0.2 to 1.6) times folds (0.9 to 1.1), a smooth (H, W) field in 1/128."""
    uneven = 28 + (_smooth(frame.light, 5, size) * 174 >> 8)
    folds = 115 + (_smooth(frame.folds, 8, size) * 26 >> 8)
    return np.asarray(uneven * folds >> 7, dtype=np.uint16)


def _crop(camera: Camera, frame: Frame, band: str, rows: int, columns: int) -> Image:
    scene = backdrop(camera.scene, band, rows, columns)
    top = int(frame.backdrop[0] * (BACKDROP[0] - 1.0) * rows)
    left = int(frame.backdrop[1] * (BACKDROP[1] - 1.0) * columns)
    return scene[top : top + rows, left : left + columns]


def _develop(image: Image, sensor: Sensor, frame: Frame, noise: Generator, grey: bool) -> Image:
    """Exposure, contrast and white balance by a table, then noise; (H, W, 3) uint8."""
    level = np.arange(256, dtype=np.float64)
    curves = [((level * frame.exposure - 128.0) * sensor.contrast + 128.0 + sensor.offset) * w for w in sensor.white]
    table = np.clip(np.floor(np.stack(curves, axis=1)), 0, 255).astype(np.uint8)
    exposed = cv2.LUT(image, table.reshape(1, 256, 3)).astype(np.int16)
    height, width = image.shape[:2]
    channels = 1 if grey else 3
    grains = np.frombuffer(noise.bytes(2 * height * width * channels), dtype=np.uint8).astype(np.int16)
    first, second = grains.reshape(2, height, width, channels)
    speckle = (first + second - 255) * int(sensor.noise) >> 8  # triangular, without the exp and log of a normal draw
    return np.clip(exposed + speckle, 0, 255).astype(np.uint8)


def render(person: Identity, camera: Camera, frame: Frame, band: str, size: tuple[int, int], noise: Generator) -> Image:
    """One picture.

    Args:
        person: Who.
        camera: Where, and through which sensor.
        frame: When; with the same frame, two bands show the same moment.
        band: ``visible``, ``near_infrared`` or ``thermal_infrared``.
        size: Height and width in pixels, both even.
        noise: The generator of this picture's sensor noise, used by no other picture.

    Returns:
        (H, W, 3) uint8, RGB; three equal channels in the infrared bands.
    """
    parts = part_map(person, camera, frame, size)
    values = person.palette[band].copy()
    if frame.occluder is not None:
        values[Part.OCCLUDER] = frame.occluder.levels[band]
    painted = values[parts]
    empty = parts == Part.BACKGROUND
    painted[empty] = _crop(camera, frame, band, *parts.shape)[empty]
    small = cv2.resize(painted, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    lit = np.minimum((small.astype(np.uint16) * _light(frame, size)[..., None]) >> 7, 255).astype(np.uint8)
    if frame.blur:
        lit = cv2.GaussianBlur(lit, (frame.blur, frame.blur), 0)
    return _develop(lit, camera.sensors[BANDS.index(band)], frame, noise, grey=band != "visible")
