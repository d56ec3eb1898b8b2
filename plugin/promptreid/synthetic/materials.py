"""What things are made of: colour, near-infrared reflectance and thermal emission of each part of a person.

Neighbouring parts differ in every band, be it bright on dark or dark on bright, so the outline of a garment shows in
each. How far near-infrared follows the colour, and what is left of a printed pattern, :mod:`.physics` says.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from promptreid.synthetic.draws import between, chance, pick
from promptreid.synthetic.physics import Physics, faded

BANDS = ("visible", "near_infrared", "thermal_infrared")
CONTRAST = {"visible": 75, "thermal_infrared": 45}  # that of near-infrared is a matter of physics


class Part(IntEnum):
    """The parts of a picture; a label map holds these values."""

    BACKGROUND = 0
    SKIN = 1
    HAIR = 2
    HAT = 3
    UPPER = 4
    UPPER_ACCENT = 5
    LOWER = 6
    LOWER_ACCENT = 7
    SHOES = 8
    BAG = 9
    BELT = 10
    SCARF = 11
    OCCLUDER = 12


# In drawing order: a part, and the part drawn before that it must stand out from.
CLOTHES: tuple[tuple[Part, Part], ...] = (
    (Part.HAIR, Part.SKIN),
    (Part.HAT, Part.SKIN),
    (Part.UPPER, Part.SKIN),
    (Part.UPPER_ACCENT, Part.UPPER),
    (Part.LOWER, Part.UPPER),
    (Part.LOWER_ACCENT, Part.LOWER),
    (Part.SHOES, Part.LOWER),
    (Part.BAG, Part.UPPER),
    (Part.BELT, Part.UPPER),
    (Part.SCARF, Part.UPPER),
)

# What is dyed or printed, on what.
DYES = {Part.UPPER_ACCENT: Part.UPPER, Part.LOWER_ACCENT: Part.LOWER}

# Offsets of R, G, B from the grey of the same brightness.
Tint = tuple[int, int, int]
TINTS: tuple[Tint, ...] = (
    (0, 0, 0), (0, 0, 0), (6, 0, -8), (-8, 0, 10), (70, -28, -30), (46, -20, -8), (40, 2, -50), (18, 10, -60),
    (-30, 28, -34), (-40, 24, 10), (-44, 6, 50), (-30, -8, 66), (24, -22, 34), (50, -24, 24), (26, 0, -30),
    (-14, 10, -16),
)  # fmt: skip

SKIN_LEVELS = {"visible": (95, 195), "near_infrared": (150, 190), "thermal_infrared": (205, 230)}
HAIR_LEVELS = {"visible": (15, 110), "near_infrared": (25, 150), "thermal_infrared": (130, 170)}
CLOTH_LEVELS = {"visible": (15, 235), "near_infrared": (25, 230), "thermal_infrared": (50, 185)}

Palette = dict[str, NDArray[np.uint8]]


def stand_out(level: float, rival: float, gap: float, low: float, high: float) -> float:
    """``level``, moved to at least ``gap`` from ``rival`` within [low, high], where that range has room."""
    if abs(level - rival) >= gap:
        return level
    up, down = rival + gap, rival - gap
    if level >= rival:
        return up if up <= high else max(down, low)
    return down if down >= low else min(up, high)


def contrast_of(band: str, physics: Physics) -> int:
    """Least difference of a part from the part beneath it in a band, in grey levels."""
    return physics.near_infrared_contrast if band == "near_infrared" else CONTRAST[band]


def _levels(rng: Generator, band: str, physics: Physics, visible: dict[Part, float] | None = None) -> dict[Part, float]:
    """A level for each part, drawn towards that of ``visible`` where given."""
    levels, gap = {Part.SKIN: between(rng, *SKIN_LEVELS[band])}, contrast_of(band, physics)
    for part, rival in CLOTHES:
        low, high = (HAIR_LEVELS if part == Part.HAIR else CLOTH_LEVELS)[band]
        level = between(rng, low, high)
        if visible is not None:
            level += physics.near_infrared_follows * (visible[part] - level)
        levels[part] = stand_out(level, levels[rival], gap, low, high)
    return levels


def _fade_dyes(rng: Generator, levels: dict[Part, float], contrast: float, share: float) -> None:
    """Leave ``contrast`` of the difference of that ``share`` of the patterns from the fabric that they are on."""
    for dye, fabric in DYES.items():
        if chance(rng, share):
            levels[dye] = faded(levels[dye], levels[fabric], contrast)


def _tint(rng: Generator, part: Part) -> Tint:
    if part == Part.SKIN:
        return (34, -4, -26)
    return (12, 0, -10) if part == Part.HAIR else pick(rng, TINTS)


def _table(levels: dict[Part, float], tints: dict[Part, Tint] | None) -> NDArray[np.uint8]:
    table = np.zeros((len(Part), 3), dtype=np.uint8)
    for part, level in levels.items():
        tint = (0, 0, 0) if tints is None else tints[part]
        table[part] = [min(255, max(0, int(level + offset))) for offset in tint]
    return table


def draw_palette(rng: Generator, physics: Physics) -> Palette:
    """For each band a (parts, 3) uint8 table of values in RGB; the infrared bands have three equal columns."""
    visible = _levels(rng, "visible", physics)
    tints = {part: _tint(rng, part) for part in visible}
    near = _levels(rng, "near_infrared", physics, visible)
    thermal = _levels(rng, "thermal_infrared", physics)
    if physics.transparent_dyes:
        _fade_dyes(rng, near, physics.dye_near_infrared, physics.transparent_dyes)
    if physics.dye_thermal < 1.0:
        _fade_dyes(rng, thermal, physics.dye_thermal, 1.0)
    return {
        "visible": _table(visible, tints),
        "near_infrared": _table(near, None),
        "thermal_infrared": _table(thermal, None),
    }
