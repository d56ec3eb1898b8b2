"""From a vehicle and a line of sight to layers of polygons, painted one over the other.

The body is a profile (front to rear) extruded to both sides: what faces away is left out, the rest is painted from the
ground to the roof, which is from far to near wherever faces overlap. Positions are metres, as in ``vehicle``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from promptreid.synthetic.ends import end_layers
from promptreid.synthetic.fittings import gear_layer, mirror_layers, side_layers
from promptreid.synthetic.layers import Layer
from promptreid.synthetic.patterns import Point
from promptreid.synthetic.sight import Point3, Sight
from promptreid.synthetic.vehicle import Shell, Vehicle
from promptreid.synthetic.vehicle_materials import VehiclePart as Part
from promptreid.synthetic.wheels import wheel_layers


class Profile(NamedTuple):
    """Corners (x, z) of the side view, from below the front bumper over the roof to below the rear bumper."""

    front_bottom: Point
    front: Point
    nose: Point
    screen: Point
    roof_front: Point
    roof_rear: Point
    deck: Point
    tail: Point
    rear: Point
    rear_bottom: Point


def profile_of(shell: Shell) -> Profile:
    """The side view of a body."""
    half, bumper = shell.length / 2, shell.clearance + 0.38 * (shell.belt - shell.clearance)
    return Profile(
        front_bottom=(half - 0.05, shell.clearance),
        front=(half, bumper),
        nose=(half - 0.07, shell.belt - shell.slope),
        screen=(shell.bonnet, shell.belt),
        roof_front=(shell.roof[0], shell.height),
        roof_rear=(shell.roof[1], shell.height - 0.02),
        deck=(shell.deck, shell.belt),
        tail=(-0.498 * shell.length, shell.belt - shell.slope / 3),
        rear=(-half, bumper),
        rear_bottom=(0.06 - half, shell.clearance),
    )


def half_width(shell: Shell, z: float) -> float:
    """Half the body's width at height ``z``: it narrows above the belt."""
    rise = max(0.0, (z - shell.belt) / (shell.height - shell.belt))
    return shell.half_width * (1.0 + rise * (shell.taper - 1.0))


def _mix(start: Point, end: Point, share: float) -> Point:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _strip(
    vehicle: Vehicle, sight: Sight, part: IntEnum, edges: tuple[Point, Point], across: tuple[float, float] = (-1.0, 1.0)
) -> Layer:
    """The face between two corners of the profile, or its part between two shares of the half width."""
    (x0, z0), (x1, z1) = edges
    if not sight.faces((z1 - z0, 0.0, x0 - x1)):
        return Layer(part, [])
    wide, wider = half_width(vehicle.shell, z0), half_width(vehicle.shell, z1)
    left, right = across
    corners = [(x0, left * wide, z0), (x0, right * wide, z0), (x1, right * wider, z1), (x1, left * wider, z1)]
    return Layer(part, [sight.lay(corners)])


def _side(vehicle: Vehicle, sight: Sight, part: IntEnum, corners: list[Point]) -> Layer:
    """A polygon on the side that is seen, given by (x, z)."""
    for side in (-1.0, 1.0):
        if sight.faces((0.0, side, 0.0)):
            points: list[Point3] = [(x, side * half_width(vehicle.shell, z), z) for x, z in corners]
            return Layer(part, [sight.lay(points)])
    return Layer(part, [])


def _lower(vehicle: Vehicle, sight: Sight) -> list[Layer]:
    shape = profile_of(vehicle.shell)
    bumper = Part.TRIM if vehicle.bumpers else Part.END
    strips = [
        (bumper, shape.front_bottom, shape.front), (Part.END, shape.front, shape.nose),
        (Part.BONNET, shape.nose, shape.screen), (Part.TOP, shape.deck, shape.tail),
        (Part.END, shape.tail, shape.rear), (bumper, shape.rear, shape.rear_bottom),
    ]  # fmt: skip
    corners = [*shape[:4], *shape[6:]]
    layers = [_strip(vehicle, sight, part, (start, end)) for part, start, end in strips]
    if vehicle.kind == "pickup":
        bed = _mix(shape.deck, shape.tail, 0.06), _mix(shape.deck, shape.tail, 0.94)
        layers.append(_strip(vehicle, sight, Part.TRIM, bed, (-0.86, 0.86)))
    return [*layers, _side(vehicle, sight, Part.SIDE, corners)]


def _cabin(vehicle: Vehicle, sight: Sight) -> list[Layer]:
    """Screens, roof and side windows."""
    shape, pillar = profile_of(vehicle.shell), vehicle.pillar
    sides = list(shape[3:7])
    layers = [
        _strip(vehicle, sight, Part.END, (shape.screen, shape.roof_front)),
        _strip(vehicle, sight, Part.END, (shape.roof_rear, shape.deck)),
        _strip(vehicle, sight, Part.TOP, (shape.roof_front, shape.roof_rear)),
    ]
    glass = _mix(shape.screen, shape.roof_front, 0.06), _mix(shape.screen, shape.roof_front, 0.9)
    layers.append(_strip(vehicle, sight, Part.GLASS, glass, (-0.9, 0.9)))
    if vehicle.blind < max(1, vehicle.windows - 1):
        glass = _mix(shape.roof_rear, shape.deck, 0.12), _mix(shape.roof_rear, shape.deck, 0.85)
        layers.append(_strip(vehicle, sight, Part.GLASS, glass, (-0.85, 0.85)))
    layers.append(_side(vehicle, sight, Part.SIDE, sides))
    clear = vehicle.windows - vehicle.blind
    for index in range(clear if vehicle.kind == "van" else vehicle.windows):
        first, last = (index + pillar) / vehicle.windows, (index + 1 - pillar) / vehicle.windows
        corners = []
        for share, height in ((first, 0.1), (first, 0.86), (last, 0.86), (last, 0.1)):
            ends = _mix(shape.screen, shape.roof_front, height), _mix(shape.deck, shape.roof_rear, height)
            corners.append(_mix(*ends, 0.05 + 0.9 * share))
        layers.append(_side(vehicle, sight, Part.GLASS if index < clear else Part.TRIM, corners))
    return layers


def _top(vehicle: Vehicle, sight: Sight) -> list[Layer]:
    """Stripes and colours of what faces the sky."""
    shape = profile_of(vehicle.shell)
    bonnet, roof, deck = (shape.nose, shape.screen), (shape.roof_front, shape.roof_rear), (shape.deck, shape.tail)
    if vehicle.top == "roof":
        return [_strip(vehicle, sight, Part.MARKING, roof)]
    if vehicle.top == "bonnet":
        return [_strip(vehicle, sight, Part.MARKING, bonnet)]
    if vehicle.top == "sunroof":
        window = _mix(*roof, 0.15), _mix(*roof, 0.65)
        return [_strip(vehicle, sight, Part.GLASS, window, (-0.7, 0.7))]
    stripes = {"racing": ((-0.42, -0.14), (0.14, 0.42)), "single": ((-0.24, 0.24),)}.get(vehicle.top, ())
    faces = (bonnet, roof) if vehicle.kind == "pickup" else (bonnet, roof, deck)
    return [_strip(vehicle, sight, Part.MARKING, face, across) for face in faces for across in stripes]


def _shadow(vehicle: Vehicle, sight: Sight) -> Layer:
    half, wide = vehicle.shell.length / 2 - 0.05, vehicle.shell.half_width + 0.04
    return Layer(Part.SHADOW, [sight.lay([(half, -wide, 0), (half, wide, 0), (-half, wide, 0), (-half, -wide, 0)])])


def coachwork(vehicle: Vehicle, sight: Sight) -> list[Layer]:
    """The layers of a vehicle as it is seen, from the back to the front."""
    under, near = wheel_layers(vehicle, sight)
    hidden, mirrors = mirror_layers(vehicle, sight)
    return [
        _shadow(vehicle, sight),
        *under,
        hidden,
        *_lower(vehicle, sight),
        *side_layers(vehicle, sight),
        *near,
        *end_layers(vehicle, sight),
        *_cabin(vehicle, sight),
        *_top(vehicle, sight),
        gear_layer(vehicle, sight),
        mirrors,
    ]
