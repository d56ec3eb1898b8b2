"""Paints a person before a camera in a band."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from promptreid.synthetic.cameras import Camera
from promptreid.synthetic.figure import figure
from promptreid.synthetic.frames import Frame
from promptreid.synthetic.identity import Identity
from promptreid.synthetic.layers import Image, paint_layers
from promptreid.synthetic.materials import Part
from promptreid.synthetic.physics import RENDERER, physics_of
from promptreid.synthetic.picture import capture, expose, occlude


def _project(points: NDArray[np.float64], camera: Camera, frame: Frame) -> NDArray[np.float64]:
    """Body coordinates (N, 2) to shares of the picture's width and height, (N, 2)."""
    view, pose = camera.viewpoint, frame.pose
    x, y = points[:, 0], points[:, 1]
    across = x * (view.widen * pose.turn) * (1.0 + view.taper * (0.5 - y)) + (view.shear + pose.lean) * (0.5 - y)
    down = y + view.pitch * y * (1.0 - y)
    if frame.mirror:
        across = -across
    zoom = view.scale * frame.zoom
    return np.stack((0.5 + 2.0 * zoom * across + frame.shift[0], 0.5 + zoom * (down - 0.5) + frame.shift[1]), axis=1)


def part_map(person: Identity, camera: Camera, frame: Frame, size: tuple[int, int]) -> Image:
    """Which part shows where, at twice the size: (2H, 2W) uint8 of :class:`Part`. It is the same in every band."""
    parts = paint_layers(figure(person, frame), lambda points: _project(points, camera, frame), size)
    occlude(parts, frame.occluder, Part.OCCLUDER)
    return parts


def render(
    person: Identity,
    camera: Camera,
    frame: Frame,
    band: str,
    size: tuple[int, int],
    noise: Generator,
    renderer: int = RENDERER,
    daylight: float = 1.0,
) -> Image:
    """One picture.

    Args:
        person: Who.
        camera: Where, and through which sensor.
        frame: When; with the same frame, two bands show the same moment.
        band: ``visible``, ``near_infrared`` or ``thermal_infrared``.
        size: Height and width in pixels, both even.
        noise: The generator of this picture's sensor noise, used by no other picture.
        renderer: That the person and the camera's scene were drawn for.
        daylight: Share of the light that is left to a visible picture, 0 to 1.

    Returns:
        (H, W, 3) uint8, RGB; three equal channels in the infrared bands.
    """
    values = person.palette[band].copy()
    if frame.occluder is not None:
        values[Part.OCCLUDER] = frame.occluder.levels[band]
    lit = expose(part_map(person, camera, frame, size), values, camera, frame, band, size, physics_of(renderer))
    if band == "visible" and daylight < 1.0:
        lit = np.asarray(lit.astype(np.uint16) * int(256 * daylight) >> 8, dtype=np.uint8)
    return capture(lit, camera, frame, band, noise)
