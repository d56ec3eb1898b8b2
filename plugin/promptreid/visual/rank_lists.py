"""Pictures of ranked lists: a query with all its bands, and the nearest gallery images that it may see.

Right and wrong ones differ in a mark (a tick or a cross) as well as in the colour of their frames, blue and orange of
Okabe and Ito's palette, which people with any kind of colour vision tell apart.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from promptreid.data import strips
from promptreid.data.batch import PathBundle
from promptreid.data.images import read_images
from promptreid.data.reading import Reader, reader_of
from promptreid.engine.epoch_meter import progress
from promptreid.evaluation.missing.conditions import short_name
from promptreid.evaluation.ranking.rank_lists import RankLists
from promptreid.evaluation.results import Results

logger = logging.getLogger(__name__)

RIGHT, WRONG, QUERY = (0, 114, 178), (213, 94, 0), (0, 0, 0)
"""Colours of the frames: a match, no match, the query."""
LONG_SIDE = 160
"""Pixels of the longer side of an image."""

_FRAME, _GAP, _MARGIN, _TEXT, _LINE, _HEAD = 4, 6, 10, 12, 14, 18
_MISSING = (200, 200, 200)
_QUALITY = 90


@dataclass(frozen=True)
class Shown:
    """Sample in a picture.

    Attributes:
        files: one per band, from top to bottom; None where it is missing.
        caption: lines of text below.
        right: whether it is a match; None of the query itself.
    """

    files: tuple[str | None, ...]
    caption: tuple[str, ...] = ()
    right: bool | None = None


def draw_rank_list(
    query: Shown,
    gallery: Sequence[Shown],
    *,
    title: str = "",
    bands: Sequence[str] = (),
    size: tuple[int, int] = (256, 128),
    read: Reader = read_images,
) -> Image.Image:
    """Draw the query on the left and the gallery images beside it in their order, numbered from 1.

    Args:
        query: the query.
        gallery: the nearest images, nearest first; none is a picture, too.
        title: a line above.
        bands: names of the bands, written beside their rows.
        size: height and width whose proportions each image gets; the longer side is drawn with :data:`LONG_SIDE`.
        read: makes RGB images of paths.

    Raises:
        FileNotFoundError, ValueError: an image that cannot be read.
    """
    height, width = (max(1, round(LONG_SIDE * side / max(size))) for side in size)
    rows = max(len(shown.files) for shown in (query, *gallery))
    lines = max(len(shown.caption) for shown in (query, *gallery))
    column, row = width + 2 * _FRAME + _GAP, height + 2 * _FRAME + _GAP
    left = _MARGIN + max((round(_font().getlength(_plain(band))) + _GAP for band in bands), default=0)
    top = _MARGIN + (_LINE + _GAP if title else 0)
    gap = 2 * _MARGIN if gallery else 0
    wide = max(left + (1 + len(gallery)) * column + gap, round(_font().getlength(_plain(title))) + _MARGIN) + _MARGIN
    canvas = Image.new("RGB", (wide, top + _HEAD + rows * row + lines * _LINE + _MARGIN), "white")
    pen = ImageDraw.Draw(canvas)
    _write(pen, (_MARGIN, _MARGIN), title)
    for place, band in enumerate(bands):
        _write(pen, (_MARGIN, top + _HEAD + place * row + height // 2), band)
    for place, shown in enumerate((query, *gallery)):
        x = left + place * column + (gap if place else 0)
        _draw_head(pen, (x, top), str(place) if place else "query", shown.right)
        _draw_images(canvas, pen, (x, top + _HEAD), (height, width), shown, read)
        for number, line in enumerate(shown.caption):
            _write(pen, (x, top + _HEAD + rows * row + number * _LINE), line)
    return canvas


def write_rank_lists(
    folder: Path, lists: RankLists, result: Results, datasets: Mapping[str, Any], size: tuple[int, int]
) -> list[Path]:
    """A picture of each query of the first trial, ``query-0012-pid-6-<name of its file>.jpg``.

    Args:
        folder: is created; pictures of these names in it are replaced.
        lists, result, datasets, size: as of :func:`draw_rank_lists`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, picture in draw_rank_lists(lists, result, datasets, size):
        written.append(folder / f"{name}.jpg")
        picture.save(written[-1], quality=_QUALITY)
    logger.info("%d ranked lists of %s in %s", len(written), result.protocol, folder)
    return written


def draw_rank_lists(
    lists: RankLists, result: Results, datasets: Mapping[str, Any], size: tuple[int, int]
) -> Iterator[tuple[str, Image.Image]]:
    """A picture of each query of the lists, with its name, ``query-0012-pid-6-<name of its file>``.

    The number is the query's place in the data set's list, so that a name stays what it is, and no two are one.

    Args:
        lists: of images named ``"query 12"`` and ``"gallery 7"`` after their places in the lists.
        result: of the same queries.
        datasets: those of ``query`` and ``gallery``.
        size: height and width of the model's images.
    """
    records = {f"{split} {row}": record for split, data in datasets.items() for row, record in enumerate(data.data)}
    dataset = next(iter(datasets.values()))
    digits = len(str(max(len(data.data) for data in datasets.values()) - 1))
    assert lists.query.names is not None and lists.gallery.names is not None
    draws = f", first of {len(result.trials)} galleries" if len(result.trials) > 1 else ""
    for query in progress(range(len(lists.query)), "drawing ranked lists"):
        name = str(lists.query.names[query])
        columns, matches = lists.row(query)
        picture = draw_rank_list(
            _shown(records[name]),
            [
                _shown(records[str(lists.gallery.names[column])], bool(match))
                for column, match in zip(columns, matches, strict=True)
            ],
            title=f"{result.protocol}{draws}, {name}: {_outcome(lists, result, query)}",
            bands=_bands(records[name][0]),
            size=size,
            read=reader_of(dataset),
        )
        yield _picture_name(name, records[name], digits), picture


def _outcome(lists: RankLists, result: Results, query: int) -> str:
    ranks = result.ranks[0]
    if not ranks.num_matches[query]:
        return "no match in the gallery"
    unit = " of the identities" if lists.level == "identity" else ""
    return f"first match at rank {ranks.first[query]}{unit}, AP {100 * ranks.average_precision[query]:.2f} %"


def _shown(record: tuple[Any, ...], right: bool | None = None) -> Shown:
    path, pid, camid, *_ = record
    files = tuple(path.paths.values()) if isinstance(path, PathBundle) else (str(path),)
    return Shown(files, (f"pid {pid}", f"camid {camid}"), right)


def _bands(path: str) -> list[str]:
    names = list(path.paths) if isinstance(path, PathBundle) else []
    return [short_name(name) for name in names] if len(names) > 1 else []


def _picture_name(name: str, record: tuple[Any, ...], digits: int) -> str:
    split, number = name.split(" ")
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", Path(strips.file_of(str(record[0]))).stem)
    return f"{split}-{int(number):0{digits}d}-pid-{record[1]}-{stem}"


def _draw_head(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, right: bool | None) -> None:
    _write(pen, place, text)
    if right is None:
        return
    x, y = place[0] + round(_font().getlength(text)) + _GAP, place[1] + 1
    strokes = [((0, 6), (4, 11), (11, 0))] if right else [((0, 0), (10, 11)), ((10, 0), (0, 11))]
    for stroke in strokes:
        pen.line([(x + dx, y + dy) for dx, dy in stroke], fill=RIGHT if right else WRONG, width=3)


def _draw_images(
    canvas: Image.Image,
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    size: tuple[int, int],
    shown: Shown,
    read: Reader,
) -> None:
    height, width = size
    files = [file for file in shown.files if file is not None]
    images = dict(zip(files, read(files), strict=True))
    colour = QUERY if shown.right is None else RIGHT if shown.right else WRONG
    for row, file in enumerate(shown.files):
        x, y = place[0], place[1] + row * (height + 2 * _FRAME + _GAP)
        pen.rectangle((x, y, x + width + 2 * _FRAME - 1, y + height + 2 * _FRAME - 1), fill=colour)
        inner = (x + _FRAME, y + _FRAME)
        if file is None:
            pen.rectangle((*inner, inner[0] + width - 1, inner[1] + height - 1), fill=_MISSING)
            _write(pen, (inner[0] + 2, inner[1] + height // 2), "missing")
        else:
            canvas.paste(images[file].resize((width, height), Image.Resampling.BILINEAR), inner)


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str) -> None:
    pen.text(place, _plain(text), fill="black", font=_font())


def _plain(text: str) -> str:
    """Pillow's own font has no other letters."""
    return text.encode("ascii", "replace").decode()


def _font() -> Any:
    return ImageFont.load_default(_TEXT)
