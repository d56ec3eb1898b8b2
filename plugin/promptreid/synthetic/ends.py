"""What is on the front and on the rear of a vehicle, as layers of polygons: lamps, grille, plates."""

from __future__ import annotations

from promptreid.synthetic.layers import Layer
from promptreid.synthetic.patterns import Polygon, octagon, rectangle
from promptreid.synthetic.sight import Point3, Sight
from promptreid.synthetic.vehicle import Vehicle
from promptreid.synthetic.vehicle_materials import VehiclePart as Part


def lamp_places(vehicle: Vehicle, front: bool) -> list[Point3]:
    """The middles of the two lamps of an end."""
    shell, x = vehicle.shell, (1 if front else -1) * (vehicle.shell.length / 2 - 0.03)
    top = shell.belt - (shell.slope if front else shell.slope / 3)
    return [(x, side * 0.74 * shell.half_width, top - 0.17) for side in (-1, 1)]


def end_layers(vehicle: Vehicle, sight: Sight) -> list[Layer]:
    """Lamps, grille, plate and the like of the end that is seen."""
    for front in (True, False):
        if sight.faces((1.0 if front else -1.0, 0.0, 0.0)):
            return _front(vehicle, sight) if front else _rear(vehicle, sight)
    return []


LAMP_SHAPES = {
    "wide": (0.24, 0.08), "round": (0.13, 0.13), "slit": (0.25, 0.045), "tall": (0.10, 0.17), "bar": (0.24, 0.06),
}  # fmt: skip
GRILLE_SHAPES = {"wide": (0.55, 0.10), "narrow": (0.22, 0.09), "tall": (0.30, 0.19), "split": (0.42, 0.08)}


def _lamps(vehicle: Vehicle, kind: str, front: bool) -> list[Polygon]:
    across, up = LAMP_SHAPES[kind]
    middles = [(y, z) for _, y, z in lamp_places(vehicle, front)]
    return [
        octagon(y, z, across, up) if kind == "round" else rectangle(y - across, z - up, y + across, z + up)
        for y, z in middles
    ]


def _front(vehicle: Vehicle, sight: Sight) -> list[Layer]:
    shell, face, x = vehicle.shell, vehicle.face, vehicle.shell.length / 2
    lamps = lamp_places(vehicle, front=True)[0][2]

    def lay(polygons: list[Polygon]) -> list[Polygon]:
        return [sight.lay([(x, y, z) for y, z in polygon]) for polygon in polygons]

    grille: list[Polygon] = []
    if face.grille != "none":
        across, up = GRILLE_SHAPES[face.grille]
        grille = [rectangle(-across, lamps - 1.4 * up, across, lamps + 0.6 * up)]
    if face.grille == "split":
        grille = [rectangle(-0.42, lamps - 0.1, -0.05, lamps + 0.05), rectangle(0.05, lamps - 0.1, 0.42, lamps + 0.05)]
    intake = [rectangle(-0.6, shell.clearance + 0.05, 0.6, shell.clearance + 0.16)] if face.intake else []
    y, z = face.plate[0] * shell.half_width, shell.clearance + face.plate[1]
    return [
        Layer(Part.GRILLE, lay(grille + intake)),
        Layer(Part.HEADLAMP, lay(_lamps(vehicle, face.headlamp, front=True)), Part.END),
        Layer(Part.PLATE, lay([rectangle(y - 0.26, z - 0.06, y + 0.26, z + 0.06)])),
    ]


def _rear(vehicle: Vehicle, sight: Sight) -> list[Layer]:
    shell, face, x = vehicle.shell, vehicle.face, -vehicle.shell.length / 2
    height = shell.belt - shell.clearance

    def lay(polygons: list[Polygon]) -> list[Polygon]:
        return [sight.lay([(x, y, z) for y, z in polygon]) for polygon in polygons]

    lamps = _lamps(vehicle, face.taillamp, front=False)
    if face.taillamp == "bar":
        lamps.append(rectangle(-0.6, lamps[0][0][1], 0.6, lamps[0][2][1]))
    y, z = face.rear_plate[0] * shell.half_width, shell.clearance + face.rear_plate[1] * height
    label = face.rear_label * 0.42
    layers = [
        Layer(Part.TAILLAMP, lay(lamps), Part.END),
        Layer(
            Part.MARKING, lay([octagon(label, shell.clearance + 0.62 * height, 0.16, 0.10)] if label else []), Part.END
        ),
        Layer(Part.PLATE, lay([rectangle(y - 0.26, z - 0.06, y + 0.26, z + 0.06)])),
        Layer(Part.EXHAUST, lay([octagon(0.5 * shell.half_width, shell.clearance + 0.01, 0.07, 0.06)])),
    ]
    if face.spare_wheel:
        middle = shell.clearance + 0.62 * height
        layers.append(Layer(Part.TYRE, lay([octagon(0.0, middle, 0.34, 0.34)])))
        layers.append(Layer(Part.RIM, lay([octagon(0.0, middle, 0.16, 0.16)])))
    return layers
