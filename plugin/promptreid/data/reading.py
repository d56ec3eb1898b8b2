"""How a data set reads its files, for those who want pictures rather than samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from promptreid.data.images import read_images

Reader = Callable[[Sequence[str]], list[Image.Image]]
"""Makes RGB images of paths."""


def reader_of(dataset: Any) -> Reader:
    """Reads from the data set's pack, where it has one, and else from the files.

    Args:
        dataset: any; torchreid's own have no pack.
    """
    pack = getattr(dataset, "pack", None)
    return read_images if pack is None else lambda files: [pack.read(file) for file in files]
