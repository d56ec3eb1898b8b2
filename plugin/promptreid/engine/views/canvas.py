"""What the pictures have in common: text and its size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LINE = 14
"""Pixels from one line of text to the next."""
GAP, MARGIN = 6, 10
_TEXT = 12


def blank(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A white picture, and what draws on it."""
    canvas = Image.new("RGB", (width, height), "white")
    return canvas, ImageDraw.Draw(canvas)


def write(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str) -> None:
    """Black text, its upper left corner at ``place``."""
    pen.text(place, _plain(text), fill="black", font=_font())


def widest(lines: Sequence[str]) -> int:
    """Pixels that the longest of some lines takes; 0 for none."""
    return max((round(_font().getlength(_plain(line))) for line in lines), default=0)


def pixels_of(picture: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8."""
    return np.asarray(picture.convert("RGB"))


def _plain(text: str) -> str:
    """Pillow's own font has no other letters."""
    return text.encode("ascii", "replace").decode()


def _font() -> Any:
    return ImageFont.load_default(_TEXT)
