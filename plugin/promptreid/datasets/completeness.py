"""Has a data set on disk as many images as were published? If not, its results say so.

A partly unpacked archive gives other numbers under the same protocol's name.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from promptreid.synthetic.manifest import MANIFEST

logger = logging.getLogger(__name__)


class Part(NamedTuple):
    """What is on disk of a part of a data set.

    Attributes:
        what: in the plural, such as ``"queries"``.
        found, published: numbers.
    """

    what: str
    found: int
    published: int


def is_rendered(folder: Path) -> bool:
    """Whether a data set is a synthetic twin, which has the published layout and not the published numbers."""
    return any((place / MANIFEST).is_file() for place in (folder, folder.parent))


def check_complete(
    what: str, folder: Path, train: Sequence[Part], test: Sequence[Part], absent: Sequence[str] = (), tell: bool = True
) -> str:
    """Compare with what is published, and warn of differences.

    Args:
        what: the data set's name.
        folder: its folder.
        train: parts of the training set.
        test: parts of the test set.
        absent: folders of cameras that aren't there.
        tell: log the warning; torchreid builds every data set three times.

    Returns:
        What the test set lacks (or has too much), to label its results with, such as ``"38 of 3803 queries"``; empty
        for a complete one, and for a synthetic twin.
    """
    if is_rendered(folder):
        return ""
    differing = _differences([*train, *test])
    if tell and (differing or absent):
        missing = f"no folder {', '.join(absent)}" if absent else ""
        logger.warning("%s at %s is not as published: %s; numbers on it don't compare with others'", what, folder,
                       "; ".join(filter(None, (missing, differing))))  # fmt: skip
    return _differences(test)


def _differences(parts: Sequence[Part]) -> str:
    return ", ".join(f"{part.found} of {part.published} {part.what}" for part in parts if part.found != part.published)
