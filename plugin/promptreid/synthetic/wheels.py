"""The wheels of a vehicle, as layers of polygons."""

from __future__ import annotations

from promptreid.synthetic.layers import Layer
from promptreid.synthetic.patterns import Polygon, octagon, rectangle
from promptreid.synthetic.sight import CIRCLE, Sight
from promptreid.synthetic.vehicle import Vehicle
from promptreid.synthetic.vehicle_materials import VehiclePart as Part

TYRE_WIDTH = 0.22


def _axles(vehicle: Vehicle) -> list[float]:
    half, wheels = vehicle.shell.length / 2, vehicle.wheels
    return [half - wheels.overhang[0], wheels.overhang[1] - half]


def _tread(sight: Sight, x: float, outer: float, inner: float, radius: float) -> list[Polygon]:
    """The running surface of a tyre."""
    pieces = []
    for (c0, s0), (c1, s1) in zip(CIRCLE, CIRCLE[1:] + CIRCLE[:1], strict=True):
        edge = ((x + radius * c0, radius + radius * s0), (x + radius * c1, radius + radius * s1))
        (x0, z0), (x1, z1) = edge
        pieces.append(sight.lay([(x0, outer, z0), (x0, inner, z0), (x1, inner, z1), (x1, outer, z1)]))
    return pieces


def _rim(style: str, x: float, z: float, radius: float) -> tuple[list[Polygon], list[Polygon]]:
    """The bright polygons (x, z) of a rim, and the dark ones over them."""
    circle = [(x + radius * across, z + radius * up) for across, up in CIRCLE]
    if style == "dark":
        return [octagon(x, z, 0.3 * radius, 0.3 * radius)], []
    if style == "half":
        return [circle[:9]], []
    if style == "cross":
        arm = 0.22 * radius
        return [
            rectangle(x - arm, z - radius, x + arm, z + radius),
            rectangle(x - radius, z - arm, x + radius, z + arm),
        ], []
    if style == "five":
        holes = [
            octagon(x + 0.6 * radius * across, z + 0.6 * radius * up, 0.22 * radius, 0.22 * radius)
            for across, up in CIRCLE[::4]
        ]
        return [circle], holes
    if style == "ring":
        return [circle], [octagon(x, z, 0.55 * radius, 0.55 * radius)]
    return [circle], []


def wheel_layers(vehicle: Vehicle, sight: Sight) -> tuple[list[Layer], list[Layer]]:
    """All tyres, to be painted before the body, and the wheels of the side that is seen, to be painted after it."""
    wheels, wide = vehicle.wheels, vehicle.shell.half_width
    under: list[Layer] = []
    near: list[Layer] = []
    for x in _axles(vehicle):
        for side in (-1.0, 1.0):
            outer, inner = side * (wide - 0.02), side * (wide - TYRE_WIDTH)
            tread = _tread(sight, x, outer, inner, wheels.radius)
            under.append(Layer(Part.TYRE, tread))
            if not sight.faces((0.0, side, 0.0)):
                continue
            bright, dark = _rim(wheels.rim, x, wheels.radius, wheels.rim_share * wheels.radius)
            arch = sight.disc((x, side * wide, wheels.radius + 0.02), 1.18 * wheels.radius)
            near += [
                Layer(Part.SHADOW, [arch], Part.SIDE),
                Layer(Part.TYRE, [sight.disc((x, outer, wheels.radius), wheels.radius)]),
                Layer(Part.RIM, [sight.lay([(a, outer, b) for a, b in piece]) for piece in bright]),
                Layer(Part.TYRE, [sight.lay([(a, outer, b) for a, b in piece]) for piece in dark]),
            ]
    return under, near
