"""Search results as a picture, and as a page for any browser, with all bands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from promptreid.evaluation.missing.conditions import short_name
from promptreid.files import atomic_write, write_text
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.gallery.hits import Hit, Hits
from promptreid.visual.pages import png_uri, render
from promptreid.visual.rank_lists import Shown, draw_rank_list

_PER_FILE = "\n"
_MOST = 20  # queries in one picture
_LONGEST = 12  # letters of a name below an image


def joined_paths(columns: Sequence[np.ndarray]) -> np.ndarray:
    """The paths of objects as one text each, a line per band, for an index; of one band, the path alone.

    Args:
        columns: of each band, (N,) paths, empty where an object has no image of it.
    """
    rows = [[str(path) for path in row] for row in zip(*columns, strict=True)]
    single = all(sum(bool(path) for path in row) <= 1 for row in rows)
    return np.array([("" if single else _PER_FILE).join(row) for row in rows], dtype=object)


def files_of(text: str, bands: int) -> tuple[str | None, ...]:
    """The files that a text of :func:`joined_paths` names, one for each band; None where there is none to show."""
    paths = text.split(_PER_FILE) if _PER_FILE in text else [text]
    shown = [path if path and Path(path.partition("#")[0]).is_file() else None for path in paths]
    return tuple(shown) if len(shown) in (1, bands) else (None,)


def draw_hits(hits: Hits, query: int, query_path: str, model: ModelDescription) -> Image.Image:
    """The picture of one query: its bands on the left, what it has found beside them, best first.

    Args:
        hits: of the search.
        query: which.
        query_path: its files, as :func:`joined_paths` writes them.
        model: of the index.
    """
    several = model.images_per_sample > 1
    return draw_rank_list(
        Shown(files_of(query_path, len(model.modalities))),
        [Shown(files_of(hit.path, len(model.modalities)), _caption(hit)) for hit in hits[query]],
        title=f"{_last(hits.queries[query])}{_verdict(hits, query)}",
        bands=[short_name(name) for name in model.modalities] if several else (),
        size=(model.height, model.width),
    )


def write_picture(path: Path, hits: Hits, query_paths: Sequence[str], model: ModelDescription) -> None:
    """Write the pictures of all queries, one below the other, as PNG.

    Raises:
        ValueError: more queries than one picture can show, or a name that does not end in ``.png``.
    """
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: a picture's name ends in .png")
    if len(hits) > _MOST:
        raise ValueError(f"{len(hits)} queries are too many for one picture of up to {_MOST}; write a page instead")
    drawn = [draw_hits(hits, number, query_paths[number], model) for number in range(len(hits))]
    canvas = Image.new("RGB", (max(one.width for one in drawn), sum(one.height for one in drawn)), "white")
    top = 0
    for one in drawn:
        canvas.paste(one, (0, top))
        top += one.height
    with atomic_write(path) as file:
        canvas.save(file, "PNG")


def write_page(
    path: Path, hits: Hits, query_paths: Sequence[str], model: ModelDescription, threshold: str = ""
) -> None:
    """Write an HTML page with a picture and a table for each query. It holds everything and loads nothing.

    Args:
        path: of the page.
        hits: of the search.
        query_paths: files of the queries, as :func:`joined_paths` writes them.
        model: of the index.
        threshold: how it was calibrated; empty where there is none.
    """
    queries = [
        {
            "name": _last(hits.queries[number]),
            "verdict": _verdict(hits, number).strip(),
            "known": hits.known is not None and hits.known[number],
            "picture": png_uri(draw_hits(hits, number, place, model)),
            "rows": [_row(rank, hit) for rank, hit in enumerate(hits[number], 1)],
        }
        for number, place in enumerate(query_paths)
    ]
    about = f"{model.name}, vectors {model.model_id[:12]}"
    write_text(path, render("search.html", about=about, threshold=threshold, queries=queries))


def _row(rank: int, hit: Hit) -> tuple[str, ...]:
    camera = str(hit.camera) if hit.camera >= 0 else ""
    return str(rank), f"{hit.score:.6f}", hit.id, camera, "" if math.isnan(hit.time) else str(hit.time)


def _caption(hit: Hit) -> tuple[str, ...]:
    camera = (f"camera {hit.camera}",) if hit.camera >= 0 else ()
    return (f"{hit.score:.6f}", Path(_last(hit.id)).stem[:_LONGEST], *camera)


def _verdict(hits: Hits, query: int) -> str:
    if hits.known is None:
        return ""
    return "  known" if hits.known[query] else "  not in the gallery, by the threshold"


def _last(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2] or name
