"""Several images side by side in one file, as RGBNT100 and RGBN300 store the modalities of a sample.

A part of a strip is named by a path with a suffix, ``0548_c0002_000.jpg#2/3`` for the second of three parts, so that it
travels wherever a path does.
"""

from __future__ import annotations

import re

PART_SIZE = (128, 256)
"""Height and width of one part, in pixels."""

_PART = re.compile(r"(?P<file>.+)#(?P<number>[1-9])/(?P<count>[1-9])", re.DOTALL)


def part(file: str, number: int, count: int) -> str:
    """The path of part ``number`` (from 1, left to right) of the ``count`` parts of a strip."""
    if not 1 <= number <= count <= 9:
        raise ValueError(f"{file}: a strip has no part {number} of {count}")
    return f"{file}#{number}/{count}"


def file_of(path: str) -> str:
    """The file behind a path, which may name a part of a strip."""
    found = _PART.fullmatch(path)
    return found["file"] if found else path


def split(path: str) -> tuple[str, int, int]:
    """File, number of the part (from 1) and count of parts; an ordinary path is part 1 of 1."""
    found = _PART.fullmatch(path)
    return (found["file"], int(found["number"]), int(found["count"])) if found else (path, 1, 1)


def check_size(path: str, size: tuple[int, int]) -> None:
    """Raise ``ValueError`` unless ``size`` (height, width) is that of the whole strip which ``path`` is a part of."""
    file, _, count = split(path)
    wanted = (PART_SIZE[0], count * PART_SIZE[1])
    if count > 1 and size != wanted:
        raise ValueError(
            f"{file}: a strip of {count} images is {wanted[1]} x {wanted[0]} pixels, this file is {size[1]} x "
            f"{size[0]}; it was resized or is another data set's: take the original file"
        )


def box(path: str) -> tuple[int, int, int, int]:
    """Left, upper, right and lower edge of the part in its strip, in pixels."""
    _, number, _ = split(path)
    height, width = PART_SIZE
    return (number - 1) * width, 0, number * width, height
