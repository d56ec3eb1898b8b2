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
_told: set[str] = set()


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
    return (manifest_folder(folder) / MANIFEST).is_file()


def manifest_folder(folder: Path) -> Path:
    """Where a synthetic twin says of itself that it is one: RGBNT100 has its splits one folder deeper."""
    return folder.parent if folder.name.lower() == "rgbir" else folder


def check_complete(
    what: str,
    folder: Path,
    train: Sequence[Part],
    test: Sequence[Part],
    absent: Sequence[str] = (),
    mode: str = "train",
) -> str:
    """Compare with what is published, and warn of differences.

    Args:
        what: the data set's name.
        folder: its folder.
        train: parts of the training set.
        test: parts of the test set.
        absent: folders of cameras that aren't there.
        mode: torchreid's, which builds each data set several times. In ``gallery`` nothing is logged, and otherwise
            each text once in a process.

    Returns:
        What the test set lacks (or has too much), to label its results with, such as ``"38 of 3803 queries"``; empty
        for a complete one, and for a synthetic twin.
    """
    if is_rendered(folder):
        return ""
    differing = _differences([*train, *test])
    if mode != "gallery" and (differing or absent):
        missing = f"no folder {', '.join(absent)}" if absent else ""
        text = (
            f"{what} at {folder} is not as published: {'; '.join(filter(None, (missing, differing)))}; numbers on it "
            "don't compare with others'"
        )
        if text not in _told:
            logger.warning("%s", text)
        _told.add(text)
    return _differences(test)


def _differences(parts: Sequence[Part]) -> str:
    return ", ".join(f"{part.found} of {part.published} {part.what}" for part in parts if part.found != part.published)
