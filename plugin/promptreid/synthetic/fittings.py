"""What is mounted on a vehicle's body or painted onto it, as layers of polygons: markings, roof gear, mirrors."""

from __future__ import annotations

from collections.abc import Callable

from promptreid.synthetic.layers import Layer
from promptreid.synthetic.patterns import Point, Polygon, octagon, rectangle
from promptreid.synthetic.sight import Point3, Sight
from promptreid.synthetic.vehicle import Marking, Vehicle
from promptreid.synthetic.vehicle_materials import VehiclePart as Part


def _checks(length: float, bottom: float, top: float, marking: Marking) -> list[Polygon]:
    size = 0.16
    z = bottom + marking.level * (top - bottom - 2 * size)
    columns = range(int(length / size))
    return [
        rectangle(column * size - length / 2, z + row * size, (column + 1) * size - length / 2, z + (row + 1) * size)
        for row in (0, 1)
        for column in columns
        if (row + column) % 2
    ]


def _markings(length: float, bottom: float, top: float, marking: Marking) -> list[Polygon]:
    """The polygons (x, z) on a side that is ``length`` long and reaches from ``bottom`` to ``top``."""
    half, z = length / 2, bottom + marking.level * (top - bottom)
    thick = marking.share * (top - bottom)
    if marking.kind == "checks":
        return _checks(length, bottom, top, marking)
    if marking.kind == "bars":
        count = int(0.45 * length / marking.period)
        return [
            rectangle(index * marking.period - 0.85 * half, bottom, (index + 0.5) * marking.period - 0.85 * half, top)
            for index in range(count)
        ]
    if marking.kind == "wedge":
        rise = marking.lean * half
        return [[(-half, z - rise), (half, z + rise), (half, z + rise + thick), (-half, z - rise + thick)]]
    shapes: dict[str, Callable[[], Polygon]] = {
        "line": lambda: rectangle(-half, z - 0.25 * thick, half, z + 0.25 * thick),
        "two_tone": lambda: rectangle(-half, bottom, half, bottom + 0.6 * (top - bottom)),
        "panel": lambda: rectangle(
            -0.3 * half, bottom + 0.2 * (top - bottom), 0.35 * half, bottom + 0.75 * (top - bottom)
        ),
        "roundel": lambda: octagon(marking.lean * half, bottom + 0.55 * (top - bottom), 0.32, 0.27),
        "rear": lambda: [(-half, bottom), (-0.2 * half, bottom), (-0.45 * half, top), (-half, top)],
        "doors": lambda: rectangle(-0.35 * half, bottom, 0.3 * half, top),
    }
    return [shapes[marking.kind]()] if marking.kind in shapes else []


def side_layers(vehicle: Vehicle, sight: Sight) -> list[Layer]:
    """Markings, cladding, damage and door gaps of the side that is seen."""
    shell = vehicle.shell
    for side in (-1, 1):
        if not sight.faces((0.0, float(side), 0.0)):
            continue

        def on_side(polygon: Polygon, side: int = side) -> list[Point]:
            return sight.lay([(x, side * shell.half_width, z) for x, z in polygon])

        height = shell.belt - shell.clearance
        marks = _markings(shell.length, shell.clearance, shell.belt, vehicle.marking)
        dents = [
            octagon(
                shell.length * (0.5 - dent.along), shell.clearance + dent.level * height, dent.radius, 0.8 * dent.radius
            )
            for dent in vehicle.dents
            if dent.side == side
        ]
        skirt = rectangle(-shell.length, shell.clearance, shell.length, shell.clearance + vehicle.cladding)
        gaps = [rectangle(x - 0.015, shell.clearance + 0.12, x + 0.015, shell.belt) for x in _gaps(vehicle)]
        return [
            Layer(Part.MARKING, [on_side(polygon) for polygon in marks], Part.SIDE),
            Layer(Part.TRIM, [on_side(skirt)] if vehicle.cladding else [], Part.SIDE),
            Layer(Part.TRIM, [on_side(polygon) for polygon in gaps], Part.SIDE),
            Layer(Part.DENT, [on_side(polygon) for polygon in dents], Part.SIDE),
        ]
    return []


def _gaps(vehicle: Vehicle) -> list[float]:
    start, end = vehicle.shell.bonnet, vehicle.shell.deck if vehicle.kind == "pickup" else vehicle.shell.roof[1]
    doors = min(2, vehicle.windows)
    return [start + (end - start) * share / doors for share in range(doors + 1)]


def gear_layer(vehicle: Vehicle, sight: Sight) -> Layer:
    """What is on the roof."""
    shell = vehicle.shell
    (front, rear), top = shell.roof, shell.height
    wide, length = shell.half_width * shell.taper, shell.roof[0] - shell.roof[1]
    middle = front - vehicle.gear_place * length
    sides, ends = (-1, 1), (front - 0.2 * length, front - 0.8 * length)
    boxes: dict[str, list[tuple[Point3, Point3]]] = {
        "none": [],
        "rails": [
            ((rear, side * 0.9 * wide - 0.03, top + 0.03), (front, side * 0.9 * wide + 0.03, top + 0.09))
            for side in sides
        ],
        "rack": [((x - 0.06, -wide, top), (x + 0.06, wide, top + 0.10)) for x in ends],
        "box": [((rear + 0.1 * length, -0.55 * wide, top), (front - 0.2 * length, 0.55 * wide, top + 0.26))],
        "sign": [((middle - 0.12, -0.3, top), (middle + 0.12, 0.3, top + 0.17))],
        "beacons": [((middle - 0.1, -0.85 * wide, top), (middle + 0.1, 0.85 * wide, top + 0.12))],
        "ladder": [
            ((rear, side * 0.3 * wide - 0.05, top), (front, side * 0.3 * wide + 0.05, top + 0.14)) for side in sides
        ],
    }
    return Layer(Part.GEAR, [polygon for low, high in boxes[vehicle.gear] for polygon in sight.box(low, high)])


def mirror_layers(vehicle: Vehicle, sight: Sight) -> tuple[Layer, Layer]:
    """The mirrors that the body may hide, to be painted before it, and those that may hide the body."""
    shell = vehicle.shell
    hidden: list[Polygon] = []
    near: list[Polygon] = []
    for side in (-1, 1) if vehicle.mirrors else ():
        x, y, z = shell.bonnet - 0.25, side * (shell.half_width + 0.10), shell.belt + 0.02
        far = sight.faces((-1.0, 0.0, 0.0)) and not sight.faces((0.0, float(side), 0.0))
        (hidden if far else near).extend(sight.box((x - 0.05, y - 0.10, z), (x + 0.05, y + 0.10, z + 0.15)))
    return Layer(Part.TRIM, hidden), Layer(Part.TRIM, near)
