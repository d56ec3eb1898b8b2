"""What vehicles are made of: colour, near-infrared reflectance and warmth of each part.

As with people, neighbouring parts differ in every band. Warmth has its own order: motor, tyres and brakes are hot,
glass mirrors the cold sky.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from promptreid.synthetic.draws import between, pick
from promptreid.synthetic.materials import BANDS, TINTS, Palette, Tint, stand_out
from promptreid.synthetic.physics import Physics, faded


class VehiclePart(IntEnum):
    """The parts of a picture; a label map holds these values."""

    BACKGROUND = 0
    SHADOW = 1
    SIDE = 2
    END = 3
    TOP = 4
    BONNET = 5
    MARKING = 6
    TRIM = 7
    GLASS = 8
    TYRE = 9
    RIM = 10
    GRILLE = 11
    HEADLAMP = 12
    TAILLAMP = 13
    PLATE = 14
    GEAR = 15
    DENT = 16
    EXHAUST = 17
    OCCLUDER = 18


# Levels in the order of ``BANDS``.
LEVELS: dict[VehiclePart, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    VehiclePart.SHADOW: ((15, 45), (20, 50), (80, 120)),
    VehiclePart.SIDE: ((35, 225), (45, 220), (80, 150)),
    VehiclePart.MARKING: ((20, 240), (25, 235), (60, 190)),
    VehiclePart.TRIM: ((20, 60), (25, 90), (60, 175)),
    VehiclePart.GLASS: ((15, 55), (20, 70), (20, 50)),
    VehiclePart.TYRE: ((15, 40), (20, 60), (110, 180)),
    VehiclePart.RIM: ((110, 220), (100, 220), (70, 235)),
    VehiclePart.GRILLE: ((10, 70), (20, 110), (150, 225)),
    VehiclePart.HEADLAMP: ((190, 245), (170, 240), (60, 120)),
    VehiclePart.TAILLAMP: ((85, 115), (120, 230), (55, 110)),
    VehiclePart.PLATE: ((190, 235), (190, 240), (60, 110)),
    VehiclePart.GEAR: ((20, 230), (25, 230), (50, 185)),
    VehiclePart.DENT: ((30, 220), (30, 220), (60, 190)),
    VehiclePart.EXHAUST: ((20, 70), (30, 80), (215, 250)),
}
RIVALS = dict.fromkeys((VehiclePart.MARKING, VehiclePart.GEAR, VehiclePart.DENT), VehiclePart.SIDE)
CONTRAST = {"visible": 75, "thermal_infrared": 40}  # that of near-infrared is a matter of physics

# How much brighter (in sixteenths) the body is where it faces the sky or an end, in the visible and near-infrared.
SHADES = {VehiclePart.SIDE: 16, VehiclePart.END: 13, VehiclePart.TOP: 19, VehiclePart.BONNET: 19}
MOTOR_HEAT = (25, 95)  # of the bonnet over the rest of the body
FIXED_TINTS: dict[VehiclePart, Tint] = {
    VehiclePart.TAILLAMP: (90, -60, -60),
    VehiclePart.HEADLAMP: (6, 2, -8),
    VehiclePart.RIM: (0, 0, 4),
}
COLOURED = (VehiclePart.SIDE, VehiclePart.MARKING, VehiclePart.GEAR, VehiclePart.DENT)
WARM_PARTS = (VehiclePart.BONNET, VehiclePart.GRILLE, VehiclePart.TYRE, VehiclePart.RIM, VehiclePart.EXHAUST)


def contrast_of(band: str, physics: Physics) -> int:
    """Least difference of a part from the body beneath it in a band, in grey levels."""
    return physics.near_infrared_contrast if band == "near_infrared" else CONTRAST[band]


def _levels(
    rng: Generator, band: str, physics: Physics, visible: dict[VehiclePart, float] | None = None
) -> dict[VehiclePart, float]:
    """A level for each part, drawn towards that of ``visible`` where given."""
    levels: dict[VehiclePart, float] = {}
    for part, ranges in LEVELS.items():
        low, high = ranges[BANDS.index(band)]
        level = between(rng, low, high)
        if visible is not None and part in COLOURED:
            level += physics.near_infrared_follows * (visible[part] - level)
        if part in RIVALS:
            level = stand_out(level, levels[RIVALS[part]], contrast_of(band, physics), low, high)
        levels[part] = level
    return levels


def _table(levels: dict[VehiclePart, float], tints: dict[VehiclePart, Tint] | None) -> NDArray[np.uint8]:
    table = np.zeros((len(VehiclePart), 3), dtype=np.uint8)
    for part, level in levels.items():
        tint = (0, 0, 0) if tints is None else tints.get(part, (0, 0, 0))
        table[part] = [min(255, max(0, int(level + offset))) for offset in tint]
    for part, shade in SHADES.items():
        table[part] = np.minimum(table[VehiclePart.SIDE].astype(np.int16) * shade // 16, 255).astype(np.uint8)
    return table


def draw_paint(rng: Generator, physics: Physics) -> Palette:
    """For each band a (parts, 3) uint8 table of values in RGB; the infrared bands have three equal columns.

    The thermal one is that of a motor at work. :func:`cooled` makes that of another moment from it.
    """
    visible = _levels(rng, "visible", physics)
    tints = {**FIXED_TINTS, **{part: pick(rng, TINTS) for part in COLOURED}}
    warmth = _levels(rng, "thermal_infrared", physics)
    warmth[VehiclePart.MARKING] = faded(warmth[VehiclePart.MARKING], warmth[VehiclePart.SIDE], physics.dye_thermal)
    thermal = _table(warmth, None)
    body = int(thermal[VehiclePart.SIDE, 0])
    thermal[VehiclePart.END], thermal[VehiclePart.TOP] = body, max(0, body - 12)
    thermal[VehiclePart.BONNET] = min(255, body + int(between(rng, *MOTOR_HEAT)))
    return {
        "visible": _table(visible, tints),
        "near_infrared": _table(_levels(rng, "near_infrared", physics, visible), None),
        "thermal_infrared": thermal,
    }


def cooled(values: NDArray[np.uint8], warmth: float) -> NDArray[np.uint8]:
    """The thermal table with its warm parts at ``warmth`` (0 to 1) of the way from the body's level to their own."""
    table = values.copy()
    body = int(values[VehiclePart.SIDE, 0])
    for part in WARM_PARTS:
        table[part] = body + int((int(values[part, 0]) - body) * warmth)
    return table
