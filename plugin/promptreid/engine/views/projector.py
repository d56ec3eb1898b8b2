"""Features with labels and thumbnails, for an embedding projector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from promptreid.data.batch import PathBundle
from promptreid.data.reading import Reader, reader_of
from promptreid.evaluation.features import FeatureSet, as_tensor
from promptreid.evaluation.missing.conditions import short_name

SPRITE_SIDE = 8192
"""Most pixels of a sprite's side that browsers draw."""
HEADER = ("identity", "camera", "band", "split", "file")
_PER_IDENTITY = 20
_BACKGROUND = (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Objects:
    """Some of the tested samples.

    Attributes:
        features: (N, D) float32.
        rows: N texts for each column of :data:`HEADER`; a file is named by its last two parts.
        sprite: thumbnails row by row, in the order of the rows.
        thumbnail: side of one, in pixels.
        header: names of the columns.
    """

    features: np.ndarray
    rows: list[tuple[str, ...]]
    sprite: Image.Image
    thumbnail: int
    header: tuple[str, ...] = HEADER


def objects_of(sides: Sequence[FeatureSet], datasets: Mapping[str, Any], most: int, thumbnail: int) -> Objects:
    """At most ``most`` of the samples of queries and gallery, as whole identities as far as they fit.

    Args:
        sides: with features, and names such as ``"gallery 7"``: the places in the data sets' lists.
        datasets: by the first word of these names.
        most: at least 1.
        thumbnail: pixels; fewer where the sprite would be larger than :data:`SPRITE_SIDE`.
    """
    chosen, records = _choose(sides, datasets, most)
    features = [as_tensor(side.features).float().cpu().numpy() for side in sides if side.features is not None]
    stacked = np.concatenate([part[rows] for part, rows in zip(features, chosen, strict=True)])
    size = min(thumbnail, SPRITE_SIDE // _columns(len(records)))
    read = reader_of(next(iter(datasets.values())))
    pictures = [thumbnail_of(record[0], size, read) for _, record in records]
    return Objects(stacked, [_labels(split, record) for split, record in records], sprite_of(pictures, size), size)


def _choose(
    sides: Sequence[FeatureSet], datasets: Mapping[str, Any], most: int
) -> tuple[list[np.ndarray], list[tuple[str, Any]]]:
    """Rows of each side, and the split and record of each; a sample that is on both sides is taken once."""
    placed, seen = [], set()
    for number, side in enumerate(sides):
        assert side.names is not None
        for row, name in enumerate(side.names.tolist()):
            split, _, place = name.partition(" ")
            record = datasets[split].data[int(place)]
            key = tuple(_files(record[0]).items())
            if key not in seen:
                seen.add(key)
                placed.append((number, row, split, record))
    pids = np.array([record[1] for *_, record in placed])
    picked = [placed[index] for index in choose_rows(pids, most)]
    rows = [
        np.array([row for number, row, *_ in picked if number == side], dtype=np.int64) for side in range(len(sides))
    ]
    return rows, [(split, record) for _, _, split, record in picked]


def choose_rows(pids: np.ndarray, most: int) -> np.ndarray:
    """Rising indices of at most ``most`` samples: whole identities, or about twenty samples of each.

    Nothing is drawn at random, so that the same samples are seen at each evaluation.

    Args:
        pids: (N,) identities.
        most: at least 1.
    """
    if len(pids) <= most:
        return np.arange(len(pids))
    known = np.unique(pids)
    each = min(_PER_IDENTITY, math.ceil(len(pids) / len(known)))
    count = max(1, min(len(known), most // each))
    kept = known[np.linspace(0, len(known) - 1, count).astype(int)]
    rows = np.flatnonzero(np.isin(pids, kept))
    by_identity = rows[np.argsort(pids[rows], kind="stable")]
    return np.sort(by_identity[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)])


def thumbnail_of(path: str, size: int, read: Reader) -> Image.Image:
    """A square picture of a sample: its bands side by side, in their proportions, on white."""
    files = [file for file in _files(path).values() if file is not None]
    canvas = Image.new("RGB", (size, size), _BACKGROUND)
    width = size // len(files)
    for number, image in enumerate(read(files)):
        fitted = ImageOps.contain(image, (max(1, width), size), Image.Resampling.BILINEAR)
        canvas.paste(fitted, (number * width + (width - fitted.width) // 2, (size - fitted.height) // 2))
    return canvas


def sprite_of(pictures: Sequence[Image.Image], size: int) -> Image.Image:
    """Square pictures of ``size`` pixels in one, row by row, about as many rows as columns."""
    columns = _columns(len(pictures))
    sprite = Image.new("RGB", (columns * size, math.ceil(len(pictures) / columns) * size), _BACKGROUND)
    for number, picture in enumerate(pictures):
        sprite.paste(picture, (number % columns * size, number // columns * size))
    return sprite


def _columns(count: int) -> int:
    return max(1, math.ceil(math.sqrt(count)))


def _labels(split: str, record: Any) -> tuple[str, ...]:
    path, pid, camid, *_ = record
    camera = path.camera if isinstance(path, PathBundle) and path.camera >= 0 else camid
    files = {name: file for name, file in _files(path).items() if file is not None}
    last = "/".join(str(next(iter(files.values()))).split("/")[-2:])
    return str(pid), str(camera), "+".join(map(short_name, files)), split, _one_line(last)


def _files(path: str) -> dict[str, str | None]:
    return path.paths if isinstance(path, PathBundle) else {"visible": str(path)}


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
