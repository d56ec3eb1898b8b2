"""Many images of one size in one ``.npy`` file, as preprocessing scripts of the field write them.

An image is named by the file's path with its row, ``train_rgb_resized_img.npy#17``, so that it travels wherever a path
does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from promptreid.numpy_files import map_npy

_ROW = re.compile(r"(?P<file>.+\.npy)#(?P<row>[0-9]+)", re.DOTALL)


def row(file: str, number: int) -> str:
    """The path of one image, counted from 0."""
    return f"{file}#{number}"


def names_row(path: str) -> bool:
    """Whether a path is that of an image in an array."""
    return _ROW.fullmatch(path) is not None


def read_row(path: str) -> Image.Image:
    """The image that a path of :func:`row` names.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an array of images, or no such row.
    """
    found = _ROW.fullmatch(path)
    if found is None:
        raise ValueError(f"{path}: not the path of an image in an array, such as images.npy#17")
    pixels, number = _pixels(found["file"]), int(found["row"])
    if number >= len(pixels):
        raise ValueError(f"{path}: the array has {len(pixels)} images, counted from 0")
    return Image.fromarray(np.array(pixels[number]))


def load_pixels(file: Path) -> NDArray[np.uint8]:
    """An array of images, (N, H, W, 3) uint8, mapped into memory.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a whole ``.npy`` file, or an array of something else.
    """
    pixels = load_array(file)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
        raise ValueError(
            f"{file}: {pixels.dtype} of shape {pixels.shape}; expected uint8 images of shape (N, height, width, 3): "
            "write the array anew, or remove it"
        )
    return pixels


def load_array(file: Path) -> NDArray[Any]:
    """An array of numbers, mapped into memory; nothing in the file is run.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a whole ``.npy`` file of numbers.
    """
    try:
        return map_npy(file, "write it anew, or remove it")
    except FileNotFoundError:
        raise FileNotFoundError(f"{file}: no such array; is the data set complete?") from None


@lru_cache(maxsize=8)
def _pixels(file: str) -> NDArray[np.uint8]:
    return load_pixels(Path(file))
