"""What things are made of: colour, near-infrared reflectance and thermal emission of each part of a person.

The three bands share no brightness order: near-infrared follows the colour only in part, thermal hardly. They share that
neighbouring parts differ, so the outline of a garment or a pattern shows in every band, bright on dark or dark on bright.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from promptreid.datasets.synthetic.draws import between, pick

BANDS = ("visible", "near_infrared", "thermal_infrared")
NEAR_INFRARED_FOLLOWS = 0.6
CONTRAST = {"visible": 60, "near_infrared": 60, "thermal_infrared": 40}


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

# Dyes: the offsets of R, G, B from the grey of the same brightness, and the near-infrared level the dye is known for.
# Reds and yellows are bright there, blues and greens dark; greys and blacks can be either (None).
Tint = tuple[int, int, int]
DYES: tuple[tuple[Tint, int | None], ...] = (
    ((0, 0, 0), None), ((8, 0, -10), None), ((80, -32, -34), 215), ((56, -26, -8), 195), ((48, 4, -62), 205),
    ((26, 14, -70), 225), ((-34, 34, -38), 95), ((-48, 28, 14), 60), ((-50, 6, 58), 45), ((-36, -10, 78), 30),
    ((26, -26, 40), 120), ((62, -32, 32), 165), ((34, 0, -40), 150), ((-20, 14, -24), 110),
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


def _levels(rng: Generator, band: str, dyes: dict[Part, int | None] | None = None) -> dict[Part, float]:
    """A level for each part; those that ``dyes`` knows are drawn towards it."""
    levels = {Part.SKIN: between(rng, *SKIN_LEVELS[band])}
    for part, rival in CLOTHES:
        low, high = (HAIR_LEVELS if part == Part.HAIR else CLOTH_LEVELS)[band]
        level = between(rng, low, high)
        known = None if dyes is None else dyes[part]
        if known is not None:
            level += NEAR_INFRARED_FOLLOWS * (known - level)
        levels[part] = stand_out(level, levels[rival], CONTRAST[band], low, high)
    return levels


def _dye(rng: Generator, part: Part) -> tuple[Tint, int | None]:
    if part == Part.SKIN:
        return (34, -4, -26), None
    return ((12, 0, -10), None) if part == Part.HAIR else pick(rng, DYES)


def _table(levels: dict[Part, float], tints: dict[Part, Tint] | None) -> NDArray[np.uint8]:
    table = np.zeros((len(Part), 3), dtype=np.uint8)
    for part, level in levels.items():
        tint = (0, 0, 0) if tints is None else tints[part]
        table[part] = [min(255, max(0, int(level + offset))) for offset in tint]
    return table


def draw_palette(rng: Generator) -> Palette:
    """For each band a (parts, 3) uint8 table of values in RGB; the infrared bands have three equal columns."""
    visible = _levels(rng, "visible")
    dyes = {part: _dye(rng, part) for part in visible}
    near = _levels(rng, "near_infrared", {part: level for part, (_, level) in dyes.items()})
    return {
        "visible": _table(visible, {part: tint for part, (tint, _) in dyes.items()}),
        "near_infrared": _table(near, None),
        "thermal_infrared": _table(_levels(rng, "thermal_infrared"), None),
    }
