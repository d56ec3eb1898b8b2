"""Are the image files of a data set readable, and are they the same files as on another machine?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from promptreid.data import strips
from promptreid.data.images import image_size, levels_16bit, oddities_in, read_image
from promptreid.data.oddities import KINDS
from promptreid.data.sixteen_bit import is_narrow, narrow_text

P = TypeVar("P")
T = TypeVar("T")
_BATCH = 256  # files per task, so that handing out tasks costs nothing beside the files
_CHUNK = 1 << 20
_PROBES = 64  # images whose levels are looked at unless all are to be decoded


def find_bad_images(paths: Sequence[str | Path], decode: bool = False, workers: int = 8) -> list[str]:
    """What is wrong with those files that cannot be read, one text per file, in the order given.

    Args:
        paths: image files; one given as a part of a strip has to have the size of a whole strip.
        decode: decode every image completely, which also finds truncated ones; otherwise headers alone are read.
        workers: threads.
    """
    problems = _map(_decoding_problem if decode else _header_problem, paths, workers)
    return [problem for problem in problems if problem]


def narrow_images(paths: Sequence[str | Path], decode: bool = False, workers: int = 8) -> list[str]:
    """At most one text, of those 16-bit images that use less than a tenth of their levels.

    Args:
        paths: image files, or parts of strips.
        decode: look at all of them; otherwise at a few, evenly spread.
        workers: threads.
    """
    chosen = paths if decode else paths[:: max(1, len(paths) // _PROBES)]
    texts = [text for text in _map(_levels_problem, chosen, workers) if text is not None]
    narrow = [text for text in texts if text]
    return [f"{narrow[0]} ({len(narrow)} of the {len(texts)} 16-bit images looked at are such)"] if narrow else []


def odd_images(paths: Sequence[str | Path], decode: bool = False, workers: int = 8) -> list[str]:
    """At most two texts, of those images that ask to be turned and of those with several frames; neither is heeded.

    Args:
        paths: image files, or parts of strips.
        decode: look at all of them; otherwise at a few, evenly spread.
        workers: threads.
    """
    chosen = paths if decode else paths[:: max(1, len(paths) // _PROBES)]
    found = _map(_oddities, chosen, workers)
    texts = {kind: [text[kind] for text in found if kind in text] for kind in KINDS}
    return [f"{one[0]} ({len(one)} of the {len(chosen)} images looked at are such)" for one in texts.values() if one]


def manifest(folder: Path, paths: Iterable[Path], content: bool = False, workers: int = 8) -> str:
    """One sha256 over the sorted relative paths and sizes of files, to compare two copies of a data set.

    Args:
        folder: what the paths are relative to; where it lies does not matter.
        paths: files below ``folder``; one that is given twice counts once.
        content: hash the bytes of every file, too.
        workers: threads.

    Returns:
        64 hexadecimal digits.

    Raises:
        FileNotFoundError: a file is missing.
    """
    files = {path.relative_to(folder).as_posix(): path for path in paths}
    names = sorted(files)
    details = _map(_size_and_digest if content else _size, [files[name] for name in names], workers)
    digest = hashlib.sha256()
    for name, detail in zip(names, details, strict=True):
        digest.update(f"{name}\t{detail}\n".encode())
    return digest.hexdigest()


def _map(function: Callable[[P], T], paths: Sequence[P], workers: int) -> list[T]:
    batches = [paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)]
    with ThreadPoolExecutor(workers) as pool:
        return [
            result for results in pool.map(lambda batch: [function(p) for p in batch], batches) for result in results
        ]


def _header_problem(path: str | Path) -> str:
    try:
        strips.check_size(str(path), image_size(str(path)))
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def _decoding_problem(path: str | Path) -> str:
    problem = _header_problem(path)
    if problem:
        return problem
    try:
        read_image(strips.file_of(str(path)))
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def _oddities(path: str | Path) -> dict[str, str]:
    """Empty for an image that others report as unreadable."""
    try:
        return oddities_in(str(path))
    except (ValueError, OSError):
        return {}


def _levels_problem(path: str | Path) -> str | None:
    """None for an image that isn't of 16 bit, or that others report as unreadable."""
    try:
        levels = levels_16bit(str(path))
    except Exception:  # as above
        return None
    if levels is None:
        return None
    return narrow_text(strips.file_of(str(path)), levels) if is_narrow(levels) else ""


def _size(path: Path) -> str:
    return str(path.stat().st_size)


def _size_and_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"{_size(path)}\t{digest.hexdigest()}"
