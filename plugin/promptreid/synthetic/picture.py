"""From a map of parts to the picture that a camera takes of it, in integers from the first pixel to the last.

Each part gets its value in the band; the result is halved in size, lit, blurred, and goes through the sensor.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from promptreid.synthetic.cameras import BACKDROP, Camera, Sensor, backdrop
from promptreid.synthetic.frames import Frame, Occluder
from promptreid.synthetic.layers import Image
from promptreid.synthetic.materials import BANDS
from promptreid.synthetic.physics import Physics

BACKGROUND = 0  # in a map of parts


def occlude(parts: Image, occluder: Occluder | None, part: int) -> None:
    """Put the occluder before everything else, as ``part``."""
    if occluder is not None:
        left, top, right, bottom = occluder.box
        rows, columns = parts.shape
        parts[int(top * rows) : int(bottom * rows), int(left * columns) : int(right * columns)] = part


def expose(
    parts: Image, values: Image, camera: Camera, frame: Frame, band: str, size: tuple[int, int], physics: Physics
) -> Image:
    """What falls on the sensor: the (2H, 2W) ``parts`` in their (parts, 3) ``values``, before the scene, lit.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    painted = values.take(parts, axis=0)
    empty = np.equal(parts, BACKGROUND).view(np.uint8)
    composed = cv2.copyTo(_crop(camera, frame, band, *parts.shape), empty, painted)
    small = cv2.resize(composed, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    if band == "thermal_infrared" and not physics.thermal_lit:
        return np.asarray(small, dtype=np.uint8)
    return np.minimum((small.astype(np.uint16) * _light(frame, size)[..., None]) >> 7, 255).astype(np.uint8)


def capture(lit: Image, camera: Camera, frame: Frame, band: str, noise: Generator) -> Image:
    """What the sensor makes of it: (H, W, 3) uint8, with three equal channels in the infrared bands."""
    if frame.blur:
        lit = np.asarray(cv2.GaussianBlur(lit, (frame.blur, frame.blur), 0), dtype=np.uint8)
    return _develop(lit, camera.sensors[BANDS.index(band)], frame, noise, grey=band != "visible")


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
