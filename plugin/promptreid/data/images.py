"""Reading image files: bounded, and never silently half."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from promptreid.config.own_keys import DECODERS
from promptreid.data import arrays, jpeg, oddities, strips
from promptreid.data.image_files import ImageError, read_bytes, with_file
from promptreid.data.sixteen_bit import FULL, TOP, Range16, is_narrow, warn_if_narrow

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
"""Of image files in a folder, in any case."""
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
MAX_PIXELS = 32_000_000
"""Told by a file's header, before anything is decoded. Crops have well under a million, whole pictures of cameras up to
24 million; anything larger is neither, or an attack."""
MAX_SCANS = 100
"""Of a progressive JPEG file, which has about ten: each costs a pass over the whole image, and few bytes."""
PILLOW = DECODERS[0]  # the other decodes JPEG files faster, to the same pixels; the rest is Pillow's

_SYSTEM_FILES = ("thumbs.db", "desktop.ini", "__macosx")
_START_OF_SCAN = b"\xff\xda"
_BITS_PER_SAMPLE = 258  # the tag of a TIFF file


def read_image(path: str, decoder: str = PILLOW, range_16bit: Range16 = FULL) -> Image.Image:
    """Decode one image file, or one part of a strip, completely, as 8-bit RGB.

    A read error is tried again twice, since network file systems hiccup; a file that is not an image is not.
    (torchreid's own ``read_image`` repeats both for ever.)

    Greyscale goes into all three channels, transparency is dropped. Of 16-bit grey, as thermal cameras write it,
    ``range_16bit`` becomes 0 to 255: all of it, unless told otherwise. (Pillow clips everything above 255 to white.)
    Pixels are taken as they are stored: an EXIF orientation is passed over, as torchreid passes over it, and of several
    frames the first is read; either is told once.

    Args:
        path: JPEG, PNG, BMP, WebP or TIFF file, a part of one as :func:`promptreid.data.strips.part` names it, or an
            image in an array as :func:`promptreid.data.arrays.row` names it. What it holds counts, not its suffix.
        decoder: one of ``DECODERS``.
        range_16bit: for 16-bit grey images.

    Raises:
        FileNotFoundError: no such file.
        ImageError: not an image, truncated, larger than ``MAX_PIXELS``, of numbers whose range isn't known (floats,
            32-bit integers), or not to be read. A ``ValueError``.
        ValueError: not a strip of the size that the path asks for.
    """
    return read_images([path], decoder, range_16bit)[0]


def read_images(paths: Sequence[str], decoder: str = PILLOW, range_16bit: Range16 = FULL) -> list[Image.Image]:
    """Like :func:`read_image` for each path, in their order; a file of which several parts are asked is read once."""
    by_file: dict[str, list[str]] = {}
    for path in paths:
        by_file.setdefault(strips.file_of(path), []).append(path)
    read = (_parts(parts, decoder, range_16bit) for parts in by_file.values())
    found = {path: image for parts in read for path, image in parts}
    # Transforms may change an image in place, so no two results are one object.
    return [found[path].copy() if path in paths[:place] else found[path] for place, path in enumerate(paths)]


def read_in_turn(paths: Iterable[str], range_16bit: Range16 = FULL) -> Iterator[tuple[str, Image.Image]]:
    """Each path with its image, one file after the other; neighbouring parts of a strip are decoded together."""
    for _, parts in groupby(paths, key=strips.file_of):
        yield from _parts(list(parts), PILLOW, range_16bit)


def to_rgb(name: str, image: Image.Image, range_16bit: Range16 = FULL) -> Image.Image:
    """An image that is opened already, as :func:`read_image` gives it; ``name`` is for messages."""
    with _explained(name):
        return _as_rgb(name, image, range_16bit)


def image_size(path: str) -> tuple[int, int]:
    """Height and width of an image file, from its header alone; of a part of a strip, those of the whole strip.

    Raises:
        FileNotFoundError, ImageError: as :func:`read_image`, as far as a header tells.
    """
    file = strips.file_of(path)

    def read(opened: BinaryIO) -> tuple[int, int]:
        with _opened(file, opened) as image:
            return image.height, image.width

    return with_file(file, read)


def oddities_in(path: str) -> dict[str, str]:
    """What an image file has that reading passes over; see :func:`promptreid.data.oddities.oddities_of`.

    Raises:
        FileNotFoundError, ImageError: as :func:`image_size`.
    """
    if arrays.names_row(path):
        return {}
    file = strips.file_of(path)

    def read(opened: BinaryIO) -> dict[str, str]:
        with _opened(file, opened) as image:
            return oddities.oddities_of(file, image)

    return with_file(file, read)


def levels_16bit(path: str) -> NDArray[np.int64] | None:
    """The levels of a 16-bit grey image, (H, W); None, without decoding it, for another image.

    Raises:
        ValueError, OSError: not an image, or integers beyond 16 bit.
    """
    if arrays.names_row(path):
        return None
    file = strips.file_of(path)

    def read(opened: BinaryIO) -> NDArray[np.int64] | None:
        with _opened(file, opened) as image, _explained(file, on_disk=True):
            return _levels(file, image) if _is_16bit(image) else None

    return with_file(file, read)


def warn_of_oddities(paths: Iterable[str]) -> None:
    """Log, once in a process for each, that images among ``paths`` ask to be turned, or have several frames.

    What can't be read is left for whoever wants the image.
    """
    for path in paths:
        try:
            oddities.tell(oddities_in(path))
        except (ValueError, OSError):
            continue


def warn_of_narrow_ranges(paths: Iterable[str]) -> None:
    """Log, once in a process, that 16-bit images among ``paths`` use less than a tenth of their levels.

    What can't be read is left for whoever wants the image.
    """
    for path in paths:
        try:
            levels = levels_16bit(path)
        except (ValueError, OSError):
            continue
        if levels is not None and is_narrow(levels):
            warn_if_narrow(path, levels)
            return


def _parts(paths: Sequence[str], decoder: str, range_16bit: Range16) -> Iterator[tuple[str, Image.Image]]:
    """The images of paths that all are of one file."""
    whole = _read_file(strips.file_of(paths[0]), decoder, range_16bit)
    for path in paths:
        strips.check_size(path, (whole.height, whole.width))
        _, _, count = strips.split(path)
        yield path, whole if count == 1 else whole.crop(strips.box(path))


def _read_file(path: str, decoder: str, range_16bit: Range16) -> Image.Image:
    if arrays.names_row(path):
        return arrays.read_row(path)
    content = read_bytes(path)
    with _explained(path):
        return _decode(path, content, decoder, range_16bit)


def _decode(path: str, content: bytes, decoder: str, range_16bit: Range16) -> Image.Image:
    if content.startswith(jpeg.START) and content.count(_START_OF_SCAN) > MAX_SCANS:
        raise ImageError(f"{path}: a JPEG file of more than {MAX_SCANS} scans, which no program writes; save it anew")
    if decoder != PILLOW:
        image = jpeg.decode(content, MAX_PIXELS)
        if image is not None:
            return image
    with _opened(path, io.BytesIO(content)) as image:
        oddities.notice(path, image)
        return _as_rgb(path, image, range_16bit)


@contextmanager
def _opened(path: str, file: BinaryIO) -> Iterator[Image.Image]:
    """The image in an opened file, of which nothing but the header was read, and of which the size is allowed."""
    with _explained(path, on_disk=not isinstance(file, io.BytesIO)):
        image = Image.open(file, formats=FORMATS)
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise ImageError(f"{path}: {image.width} x {image.height} pixels; the limit for a crop is {MAX_PIXELS}")
        yield image


@contextmanager
def _explained(path: str, on_disk: bool = False) -> Iterator[None]:
    """Whatever a decoder raises becomes an :class:`ImageError`; what it reads from a disk may fail for the disk."""
    try:
        yield
    except (ImageError, ModuleNotFoundError):  # the second: a decoder that is not installed
        raise
    except UnidentifiedImageError:
        raise ImageError(f"{path}: not an image that Pillow can read; replace the file or remove it") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: {str(error).rstrip('.')}; the limit for a crop is {MAX_PIXELS}") from None
    except Exception as error:  # a broken file may provoke anything
        if on_disk and isinstance(error, OSError) and error.errno is not None:
            raise
        reason = str(error) or type(error).__name__
        raise ImageError(f"{path}: cannot be decoded ({reason}); replace the file or remove it") from None


def _as_rgb(path: str, image: Image.Image, range_16bit: Range16) -> Image.Image:
    if image.mode == "F":
        raise ImageError(f"{path}: 32-bit floats, whose range isn't known; convert the file to 8 or 16 bit")
    if _is_16bit(image):
        levels = _levels(path, image)
        if range_16bit == FULL:
            warn_if_narrow(path, levels)
        return Image.fromarray(range_16bit.scaled(levels)).convert("RGB")
    return image.convert("RGB")


def _is_16bit(image: Image.Image) -> bool:
    return image.mode == "I" or image.mode.startswith("I;16")


def _levels(path: str, image: Image.Image) -> NDArray[np.int64]:
    values = np.asarray(image).astype(np.int64)
    if _is_wide(image) or values.min() < 0 or values.max() > TOP:
        raise ImageError(f"{path}: integers beyond 16 bit, whose range isn't known; convert the file to 8 or 16 bit")
    return values


def _is_wide(image: Image.Image) -> bool:
    return max(getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))) > 16


def is_hidden(name: str) -> bool:
    """Whether a file or folder is an operating system's own, such as ``.DS_Store``, ``._0001.jpg`` or ``Thumbs.db``."""
    return name.startswith(".") or name.casefold() in _SYSTEM_FILES
