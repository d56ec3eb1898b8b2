"""The versions of installed distributions, and this package's own."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

UNKNOWN = "unknown"
_PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
_VERSION = re.compile(r'^name = "promptreid"\nversion = "([^"]+)"$', re.MULTILINE)


def version_of(distribution: str) -> str:
    """The version of an installed distribution, or :data:`UNKNOWN`.

    A checkout of this package that is on ``PYTHONPATH`` and not installed has the version of its ``pyproject.toml``.
    """
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return _of_checkout() if distribution == "promptreid" else UNKNOWN


def _of_checkout() -> str:
    match = _VERSION.search(_PROJECT.read_text(encoding="utf-8")) if _PROJECT.is_file() else None
    return match[1] if match else UNKNOWN
