"""Reading image files: bounded, and never silently half."""

from __future__ import annotations

import time
from pathlib import Path

from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
MAX_PIXELS = 16_000_000
"""Person and vehicle crops have well under a million; anything larger is not a crop, or an attack."""

_ATTEMPTS = 3
_PAUSE = 0.2  # seconds; a busy network file system recovers in less


def read_image(path: str) -> Image.Image:
    """Decode one image file completely, as RGB.

    A read error is tried again twice, since network file systems hiccup; a file that is not an image is not.
    (torchreid's own ``read_image`` repeats both for ever.)

    Args:
        path: JPEG, PNG, BMP, WebP or TIFF file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, truncated, or larger than ``MAX_PIXELS``.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _decode(path)
        except FileNotFoundError:
            raise FileNotFoundError(f"{path}: no such image file; is the data set complete?") from None
        except UnidentifiedImageError:
            raise ValueError(f"{path}: not an image that Pillow can read; replace the file or remove it") from None
        except OSError as error:
            if attempt == _ATTEMPTS or _is_decoding_error(error):
                raise ValueError(f"{path}: cannot be decoded ({error}); replace the file or remove it") from None
            time.sleep(_PAUSE)
    raise AssertionError("unreachable")


def _decode(path: str) -> Image.Image:
    with Image.open(path, formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{path}: {image.width} x {image.height} pixels; the limit for a crop is {MAX_PIXELS}")
        return image.convert("RGB")


def _is_decoding_error(error: OSError) -> bool:
    return error.errno is None  # Pillow's own complaints carry no errno, those of the file system do


def list_images(folder: Path, suffixes: tuple[str, ...] = (".jpg",)) -> list[Path]:
    """The image files of a folder, sorted by name; hidden files are left out."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != ".")
