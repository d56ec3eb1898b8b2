"""The header of a ``.safetensors`` file, read and checked before anything believes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LIMIT = 100_000_000
"""Bytes of a header, the library's own limit."""


class HeaderError(ValueError):
    """A header that cannot be believed.

    Attributes:
        problem: why not, for messages of one's own.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} is not a valid .safetensors file ({problem}); copy or download it again")
        self.problem = problem


def read_header(path: Path) -> dict[str, Any]:
    """A file's header: what each name is, and texts under ``__metadata__``.

    The library checks types, shapes and offsets, and lets the last of two entries of one name win; other programs take
    the first, so that a file can be one thing to whom it was shown and another to whom uses it. Such files are refused.

    Raises:
        FileNotFoundError: no such file.
        HeaderError: no header, one that does not fit into the file, or one with a name that is there twice.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, LIMIT):
            raise HeaderError(path, f"a header of {length} bytes in a file of {size}")
        content = file.read(length)
    try:
        header = json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise HeaderError(path, f"its header: {error}") from None
    if not isinstance(header, dict):
        raise HeaderError(path, "its header names no tensors")
    return header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {twice!r} is there twice")
    return found
