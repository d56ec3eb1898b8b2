"""Images of samples for pictures: read and brought to one size; a grey tile where one is missing or cannot be read."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from promptreid.data.batch import PathBundle
from promptreid.data.images import read_images
from promptreid.evaluation.missing.conditions import short_name
from promptreid.visual.figures import bare, grey_tile
from promptreid.visual.rank_lists import Shown

logger = logging.getLogger(__name__)

Reader = Callable[[Sequence[str]], list[Image.Image]]


class Tile(NamedTuple):
    """An image of a picture.

    Attributes:
        pixels: (H, W, 3) uint8.
        note: what to write on it, such as the path of a file that is gone; mostly empty.
    """

    pixels: np.ndarray
    note: str = ""


def tile_of(path: str | None, size: tuple[int, int], read: Reader = read_images) -> Tile:
    """The image at a path, (height, width) in pixels; grey, with a note, where there is none."""
    if path is None:
        return Tile(grey_tile(size), "missing")
    try:
        image = read([path])[0]
    except (OSError, ValueError) as error:
        logger.warning("a grey tile stands for %s: %s", path, error)
        return Tile(grey_tile(size), str(path))
    return Tile(np.asarray(image.convert("RGB").resize((size[1], size[0]), Image.Resampling.BILINEAR)))


def draw_tile(axes: Any, tile: Tile, colour: str = "#000000", width: float = 0.5) -> None:
    """Draw a tile with a frame."""
    axes.imshow(tile.pixels, interpolation="nearest", aspect="equal")
    bare(axes)
    for spine in axes.spines.values():
        spine.set(edgecolor=colour, linewidth=width)
    if tile.note:
        axes.text(
            0.5, 0.5, textwrap.fill(tile.note, 12), transform=axes.transAxes, ha="center", va="center", fontsize=3.5
        ).set_clip_on(True)


def shown_of(record: Sequence[Any], right: bool | None = None) -> Shown:
    """A record of a data set, ``(path, pid, camid, ...)``, with identity and camera as its caption."""
    path, pid, camid = record[:3]
    camera, bands = getattr(path, "camera", -1), bands_of(path)
    band = f"{bands[0]} " if len(bands) == 1 else ""
    return Shown(files_of(path), (f"id {pid}", f"{band}cam {camera if camera >= 0 else camid}"), right)


def files_of(path: str) -> tuple[str | None, ...]:
    """The files of a sample, one per band."""
    return tuple(path.paths.values()) if isinstance(path, PathBundle) else (str(path),)


def bands_of(path: str) -> list[str]:
    """The bands of a sample in short: ``RGB``, ``NIR``, ``TIR``, ``IR``; of a plain path none."""
    return [short_name(name) for name in path.paths] if isinstance(path, PathBundle) else []


def name_of(path: str) -> str:
    """The file's name without its folders."""
    return Path(str(path).partition("#")[0]).name
