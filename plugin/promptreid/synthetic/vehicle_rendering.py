"""Paints a vehicle before a camera in a band, by day or by night."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from promptreid.synthetic.cameras import Camera
from promptreid.synthetic.coachwork import coachwork
from promptreid.synthetic.draws import between
from promptreid.synthetic.ends import lamp_places
from promptreid.synthetic.frames import Frame
from promptreid.synthetic.layers import Image, paint_layers
from promptreid.synthetic.physics import RENDERER, physics_of
from promptreid.synthetic.picture import capture, expose, occlude
from promptreid.synthetic.sight import SIDES, Sight
from promptreid.synthetic.vehicle import Vehicle
from promptreid.synthetic.vehicle_materials import VehiclePart, cooled

# What is left of the light by night, in sixteenths, and how strongly a lamp dazzles. Near-infrared cameras bring
# their own light, warmth needs none.
NIGHT_LIGHT = {"visible": 4, "near_infrared": 11, "thermal_infrared": 16}
GLARE = {"visible": 1.0, "near_infrared": 0.35, "thermal_infrared": 0.0}
LAMP_COLOURS = {True: (255, 246, 222), False: (235, 42, 30)}  # of headlamps, of tail lamps
REFERENCE = (5.15, 1.85, 2.0)  # length, width and height that fill a picture


@dataclass(frozen=True)
class Drive:
    """What changes from one picture of a vehicle to the next besides the :class:`Frame`."""

    turn: float
    warmth: float
    glare: float
    reach: float

    @classmethod
    def draw(cls, rng: Generator) -> Drive:
        """From the generator of the moment, after its frame."""
        return cls(
            turn=between(rng, -0.12, 0.12),
            warmth=between(rng, 0.55, 1.0),
            glare=between(rng, 110, 300),
            reach=between(rng, 0.05, 0.16),
        )


@dataclass(frozen=True)
class Look:
    """A line of sight and the window through which it goes: its middle and its size, in metres."""

    sight: Sight
    middle: tuple[float, float]
    window: tuple[float, float]
    shift: tuple[float, float]

    @classmethod
    def at(cls, vehicle: Vehicle, camera: Camera, frame: Frame, side: int, drive: Drive) -> Look:
        """How ``camera``, which stands to that ``side`` (0 to 7, an index of ``SIDES``), sees the vehicle."""
        view = camera.viewpoint
        cosine, sine = (abs(value) for value in SIDES[side])
        elevation = 0.15 + 2.0 * view.pitch
        length, width, height = REFERENCE
        down = (height + elevation * (length * cosine + width * sine)) * 1.05
        across = max((length * sine + width * cosine) * 1.06, 1.3 * down)
        zoom = view.scale * frame.zoom
        depth = vehicle.shell.length * cosine + 2.0 * vehicle.shell.half_width * sine
        middle = (0.0, (elevation * depth / 2 - vehicle.shell.height) / 2)
        return cls(
            Sight.turned(side, drive.turn, elevation), middle, (across / (view.widen * zoom), down / zoom), frame.shift
        )

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres to the right and downwards (N, 2) to shares of the picture's width and height, (N, 2)."""
        return (points - np.array(self.middle)) / np.array(self.window) + (0.5 + np.array(self.shift))


def vehicle_part_map(vehicle: Vehicle, look: Look, frame: Frame, size: tuple[int, int]) -> Image:
    """Which part shows where, at twice the size: (2H, 2W) uint8 of :class:`VehiclePart`, the same in every band."""
    parts = paint_layers(coachwork(vehicle, look.sight), look.project, size)
    occlude(parts, frame.occluder, VehiclePart.OCCLUDER)
    return parts


def _darken(lit: Image, vehicle: Vehicle, look: Look, drive: Drive, band: str) -> Image:
    """The same by night, with the lamps on."""
    dark = (lit.astype(np.uint16) * NIGHT_LIGHT[band] >> 4).astype(np.float64)
    rows, columns = lit.shape[:2]
    y, x = np.arange(rows, dtype=np.float64)[:, None], np.arange(columns, dtype=np.float64)[None, :]
    for front in (True, False):
        if not look.sight.faces((1.0 if front else -1.0, 0.0, 0.0)):
            continue
        lamps = lamp_places(vehicle, front)
        strength, reach = GLARE[band] * drive.glare * (1.0 if front else 0.45), (drive.reach * rows) ** 2
        colour = np.array(LAMP_COLOURS[front] if band == "visible" else (255, 255, 255), dtype=np.float64) / 255
        for across, down in look.project(np.array(look.sight.lay(lamps), dtype=np.float64)):
            away = (x - across * columns) * (x - across * columns) + (y - down * rows) * (y - down * rows)
            dark += (strength * reach / (reach + away))[..., None] * colour
    return np.minimum(np.floor(dark), 255).astype(np.uint8)


def render_vehicle(
    vehicle: Vehicle,
    camera: Camera,
    moment: tuple[Frame, Drive],
    side: int,
    band: str,
    size: tuple[int, int],
    noise: Generator,
    night: bool = False,
    renderer: int = RENDERER,
) -> Image:
    """One picture.

    Args:
        vehicle: Which.
        camera: Where, and through which sensor.
        moment: When; with the same one, two bands show the same moment.
        side: From which of the eight ``sight.SIDES`` the camera looks, 0 (front) to 7, by way of the vehicle's left.
        band: ``visible``, ``near_infrared`` or ``thermal_infrared``.
        size: Height and width in pixels, both even.
        noise: The generator of this picture's sensor noise, used by no other picture.
        night: In the dark, with the vehicle's lamps on.
        renderer: That the vehicle and the camera's scene were drawn for.

    Returns:
        (H, W, 3) uint8, RGB; three equal channels in the infrared bands.
    """
    frame, drive = moment
    look = Look.at(vehicle, camera, frame, side, drive)
    table = vehicle.palette[band]
    values = cooled(table, drive.warmth) if band == "thermal_infrared" else table.copy()
    if frame.occluder is not None:
        values[VehiclePart.OCCLUDER] = frame.occluder.levels[band]
    parts = vehicle_part_map(vehicle, look, frame, size)
    lit = expose(parts, values, camera, frame, band, size, physics_of(renderer))
    if night:
        lit = _darken(lit, vehicle, look, drive, band)
    return capture(lit, camera, frame, band, noise)
