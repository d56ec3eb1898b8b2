"""Reading image files: bounded, and never silently half."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from promptreid.data import jpeg, strips

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
MAX_PIXELS = 16_000_000
"""Person and vehicle crops have well under a million; anything larger is not a crop, or an attack."""
PILLOW = "pillow"
DECODERS = (PILLOW, "simplejpeg")
"""Names of ``data.decoder``; the second decodes JPEG files faster, to the same pixels, the rest is Pillow's."""

_ATTEMPTS = 3
_PAUSE = 0.2  # seconds; a busy network file system recovers in less
_BITS_PER_SAMPLE = 258  # the tag of a TIFF file


def read_image(path: str, decoder: str = PILLOW) -> Image.Image:
    """Decode one image file, or one part of a strip, completely, as 8-bit RGB.

    A read error is tried again twice, since network file systems hiccup; a file that is not an image is not.
    (torchreid's own ``read_image`` repeats both for ever.)

    Greyscale goes into all three channels, transparency is dropped. 16-bit grey, as thermal cameras write it, is
    scaled as a whole: 0 to 65535 becomes 0 to 255. (Pillow clips everything above 255 to white.)

    Args:
        path: JPEG, PNG, BMP, WebP or TIFF file, or a part of one as :func:`promptreid.data.strips.part` names it.
        decoder: one of ``DECODERS``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, truncated, larger than ``MAX_PIXELS``, of numbers whose range isn't known (floats,
            32-bit integers), or not a strip of the size that the path asks for.
    """
    return read_images([path], decoder)[0]


def read_images(paths: Sequence[str], decoder: str = PILLOW) -> list[Image.Image]:
    """Like :func:`read_image` for each path, in their order; a file of which several parts are asked is read once."""
    by_file: dict[str, list[str]] = {}
    for path in paths:
        by_file.setdefault(strips.file_of(path), []).append(path)
    found = {path: image for parts in by_file.values() for path, image in _parts(parts, decoder)}
    # Transforms may change an image in place, so no two results are one object.
    return [found[path].copy() if path in paths[:place] else found[path] for place, path in enumerate(paths)]


def read_in_turn(paths: Iterable[str]) -> Iterator[tuple[str, Image.Image]]:
    """Each path with its image, one file after the other; neighbouring parts of a strip are decoded together."""
    for _, parts in groupby(paths, key=strips.file_of):
        yield from _parts(list(parts), PILLOW)


def _parts(paths: Sequence[str], decoder: str) -> Iterator[tuple[str, Image.Image]]:
    """The images of paths that all are of one file."""
    whole = _read_file(strips.file_of(paths[0]), decoder)
    for path in paths:
        strips.check_size(path, (whole.height, whole.width))
        _, _, count = strips.split(path)
        yield path, whole if count == 1 else whole.crop(strips.box(path))


def _read_file(path: str, decoder: str) -> Image.Image:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _decode(path, decoder)
        except FileNotFoundError:
            raise FileNotFoundError(f"{path}: no such image file; is the data set complete?") from None
        except UnidentifiedImageError:
            raise ValueError(f"{path}: not an image that Pillow can read; replace the file or remove it") from None
        except OSError as error:
            if attempt == _ATTEMPTS or _is_decoding_error(error):
                raise ValueError(f"{path}: cannot be decoded ({error}); replace the file or remove it") from None
            time.sleep(_PAUSE)
    raise AssertionError("unreachable")


def _decode(path: str, decoder: str) -> Image.Image:
    if decoder != PILLOW:
        image = jpeg.decode(Path(path).read_bytes(), MAX_PIXELS)
        if image is not None:
            return image
    with Image.open(path, formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{path}: {image.width} x {image.height} pixels; the limit for a crop is {MAX_PIXELS}")
        return _as_rgb(path, image)


def _as_rgb(path: str, image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError(f"{path}: 32-bit floats, whose range isn't known; convert the file to 8 or 16 bit")
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _scaled(path, image)
    return image.convert("RGB")


def _scaled(path: str, image: Image.Image) -> Image.Image:
    """0..65535 as 0..255, rounded; 65535 is 255 x 257."""
    values = np.asarray(image).astype(np.int64)
    if _is_wide(image) or values.min() < 0 or values.max() > 65535:
        raise ValueError(f"{path}: integers beyond 16 bit, whose range isn't known; convert the file to 8 or 16 bit")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")


def _is_wide(image: Image.Image) -> bool:
    return max(getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))) > 16


def _is_decoding_error(error: OSError) -> bool:
    return error.errno is None  # Pillow's own complaints carry no errno, those of the file system do


def list_images(folder: Path, suffixes: tuple[str, ...] = (".jpg",)) -> list[Path]:
    """The image files of a folder, sorted by name; hidden files are left out."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != ".")
