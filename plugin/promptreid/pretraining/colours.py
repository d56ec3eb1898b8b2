"""Words for what a part of a person looks like in a band: colours in visible light, brightness elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from promptreid.synthetic.materials import CLOTH_LEVELS, HAIR_LEVELS, Palette, Part

# Upper bounds of grey levels; below CHROMA the channels differ too little for a hue.
GREYS = ((50, "black"), (100, "dark grey"), (155, "grey"), (205, "light grey"), (256, "white"))
CHROMA = 28
HAIRS = ((50, "black"), (80, "dark brown"), (256, "brown"))
# Upper bounds of hues in degrees, red at 0.
HUES = (
    (15, "red"), (40, "orange"), (64, "yellow"), (145, "green"), (192, "teal"), (232, "blue"), (275, "violet"),
    (322, "purple"), (345, "pink"), (361, "red"),
)  # fmt: skip
DARK, LIGHT = 80, 170  # means of the channels
SHADES = ("dark", "light", "bright")

Paint = Callable[[Part], str]


def colour_of(red: int, green: int, blue: int) -> str:
    """The name of a colour, such as ``dark green``; channels in [0, 255]."""
    low, high, mean = min(red, green, blue), max(red, green, blue), (red + green + blue) / 3
    if high - low < CHROMA:
        return next(name for bound, name in GREYS if mean < bound)
    hue = _hue(red, green, blue)
    name = next(name for bound, name in HUES if hue < bound)
    return f"dark {name}" if mean < DARK else f"light {name}" if mean > LIGHT else name


def _hue(red: int, green: int, blue: int) -> float:
    """In degrees; the channels must not all be equal."""
    high, spread = max(red, green, blue), max(red, green, blue) - min(red, green, blue)
    if high == red:
        return 60.0 * ((green - blue) / spread % 6)
    return 60.0 * ((blue - red) / spread + 2) if high == green else 60.0 * ((red - green) / spread + 4)


def brightness_of(level: int, low: float, high: float) -> str:
    """``dark`` for the lowest third of a range of levels, ``bright`` for the highest, else nothing."""
    share = (level - low) / (high - low)
    return "dark" if share < 1 / 3 else "bright" if share > 2 / 3 else ""


def painter(palette: Palette, band: str) -> Paint:
    """What describes the look of a part in ``band``: its colour in visible light, else its brightness, or nothing."""

    def paint(part: Part) -> str:
        red, green, blue = (int(value) for value in palette[band][part])
        if band == "visible" and part == Part.HAIR:
            return next(name for bound, name in HAIRS if green < bound)
        if band == "visible":
            return colour_of(red, green, blue)
        return brightness_of(green, *(HAIR_LEVELS if part == Part.HAIR else CLOTH_LEVELS)[band])

    return paint
