"""A faster decoder for JPEG files than Pillow's, where the package simplejpeg is installed."""

from __future__ import annotations

import importlib
from types import ModuleType

from PIL import Image

START = b"\xff\xd8"
"""Of every JPEG file."""
_COLOURS = ("YCbCr", "Gray")  # in which files of photographs are; CMYK comes out up to one level beside Pillow's


def check_installed() -> None:
    """Raise ``ModuleNotFoundError`` with the remedy when there is no simplejpeg."""
    _simplejpeg()


def decode(content: bytes, max_pixels: int) -> Image.Image | None:
    """A whole JPEG file as RGB; None for anything that simplejpeg doesn't decode, or that is larger than allowed.

    What it leaves (other formats, CMYK, broken or truncated files) is Pillow's, which also says what is wrong with it.
    """
    if not content.startswith(START):
        return None
    library = _simplejpeg()
    try:
        height, width, colours, _ = library.decode_jpeg_header(content)
        if colours not in _COLOURS or height * width > max_pixels:
            return None
        return Image.fromarray(library.decode_jpeg(content))
    except ValueError:
        return None


def _simplejpeg() -> ModuleType:
    try:
        return importlib.import_module("simplejpeg")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "data.decoder simplejpeg needs the package simplejpeg: pip install it, or set data.decoder pillow",
            name="simplejpeg",
        ) from None
