"""JSON that others wrote: any text is a value or a ``ValueError``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def parse_json(text: str | bytes, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """The value of a JSON text.

    Args:
        text: in UTF-8, -16 or -32, where it is bytes.
        pairs: what an object becomes, as of :func:`json.loads`; a dict when None.

    Raises:
        ValueError: not JSON, or nested so deeply that Python gives up, which :func:`json.loads` has another error for.
    """
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_json(path: Path, what: str, remedy: str) -> dict[str, Any]:
    """The JSON object of a file.

    Args:
        path: of the file.
        what: what it should be, for messages.
        remedy: what to do where it is not.

    Raises:
        FileNotFoundError: no such file.
        ValueError: something else is in it.
    """
    try:
        found = parse_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: not {what} ({error}); {remedy}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: not {what} ({type(found).__name__} in place of an object); {remedy}")
    return found
