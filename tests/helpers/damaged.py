"""Small image files of every kind that is read, and what becomes of them on disks and in transit."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

_NOISE = np.random.default_rng(0).integers(0, 256, (9, 5, 3), dtype=np.uint8)
PIXELS = np.asarray(Image.fromarray(_NOISE).resize((20, 30)))
DEEP = PIXELS[..., 0].astype(np.uint16) * 257


def encoded(image: Image.Image, format: str, **settings: Any) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, format, **settings)
    return file.getvalue()


def turned() -> Image.Exif:
    """EXIF data that ask for a turn by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def two() -> dict[str, Any]:
    """A second frame, mirrored; anew for each file, since saving leaves its format's settings in an image."""
    return {"save_all": True, "append_images": [RGB.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]}


RGB = Image.fromarray(PIXELS)
FILES = {
    "jpeg": encoded(RGB, "JPEG", exif=turned()),
    "progressive jpeg": encoded(RGB, "JPEG", progressive=True),
    "cmyk jpeg": encoded(RGB.convert("CMYK"), "JPEG"),
    "mpo": encoded(RGB, "MPO", **two()),
    "png": encoded(RGB, "PNG", exif=turned()),
    "palette png": encoded(RGB.convert("P"), "PNG"),
    "16-bit png": encoded(Image.fromarray(DEEP), "PNG"),
    "animated png": encoded(RGB, "PNG", **two()),
    "bmp": encoded(RGB, "BMP"),
    "tiff": encoded(RGB, "TIFF"),
    "lzw tiff": encoded(RGB, "TIFF", compression="tiff_lzw"),
    "16-bit tiff": encoded(Image.fromarray(DEEP), "TIFF"),
    "tiff of two pages": encoded(RGB, "TIFF", **two()),
    "webp": encoded(RGB, "WEBP"),
    "animated webp": encoded(RGB, "WEBP", **two()),
}
"""Files of 20 x 30 pixels by what they are."""


@st.composite
def damage(draw: st.DrawFn, content: bytes) -> bytes:
    """A file cut off, with other bytes in it, most often in its header, or with bytes too many or too few."""
    found = bytearray(content)
    if draw(st.booleans()):
        found = found[: draw(st.integers(0, len(found)))]
    for _ in range(draw(st.integers(0, 4))):
        if found:
            place = draw(st.integers(0, min(len(found), draw(st.sampled_from([64, 400, 1 << 30]))) - 1))
            found[place] = draw(st.integers(0, 255))
    if draw(st.integers(0, 4)) == 0:
        place = draw(st.integers(0, len(found)))
        found[place : place + draw(st.integers(0, 20))] = draw(st.binary(max_size=20))
    return bytes(found)


def bomb(format: str) -> bytes:
    """A small file whose header promises more pixels than fit into any memory."""
    small = Image.new("RGB", (8, 8))
    found = bytearray(encoded(small, format, **({"lossless": True} if format == "WEBP" else {})))
    if format == "PNG":
        header = struct.pack(">II", 60_000, 60_000) + bytes(found[24:29])
        found[16:33] = header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    elif format == "BMP":
        found[18:26] = struct.pack("<ii", 60_000, 60_000)
    elif format == "JPEG":
        start = found.find(b"\xff\xc0")
        found[start + 5 : start + 9] = struct.pack(">HH", 65_500, 65_500)
    elif format == "WEBP":
        start = found.find(b"VP8L") + 9
        (bits,) = struct.unpack("<I", found[start : start + 4])
        found[start : start + 4] = struct.pack("<I", (bits & ~0xFFFFFFF) | 16_382 | 16_382 << 14)
    elif format == "TIFF":
        (start,) = struct.unpack("<I", found[4:8])
        for entry in range(start + 2, start + 2 + 12 * struct.unpack("<H", found[start : start + 2])[0], 12):
            if struct.unpack("<H", found[entry : entry + 2])[0] in (256, 257):  # width, height
                found[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, 60_000)
    return bytes(found)
