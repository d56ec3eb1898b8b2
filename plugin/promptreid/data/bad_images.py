"""What becomes of samples with images that cannot be read, where ``data.on_bad_image`` is ``skip``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from promptreid.data.image_files import ImageError

UNREADABLE = "unreadable"
"""Key of an item, and of a batch: why its own image could not be read; empty where it could."""
ERRORS = (ImageError, FileNotFoundError)
"""What reading an image may end with."""

_BLANK = (64, 128)  # width and height; transforms give it the size of the others


def item_or_other(
    item: Callable[[int], dict[str, Any]], index: int, others: Callable[[], Sequence[int]], seed: int | None
) -> dict[str, Any]:
    """A training sample, or where it cannot be read another one that stands for it.

    Which one is a function of the batch's seed, the sample and what can be read, so that a resumed run goes on with
    the same images.

    Args:
        item: makes the sample of an index.
        index: what was drawn.
        others: indices that may stand for it, in the data set's order.
        seed: of the batch; None counts as 0.

    Raises:
        ImageError: none of them can be read.
    """
    try:
        return {**item(index), UNREADABLE: ""}
    except ERRORS as error:
        reason = str(error)
    for other in _shuffled(others(), seed, index):
        try:
            return {**item(other), UNREADABLE: reason}
        except ERRORS:
            continue
    raise ImageError(
        f"{reason} (data.on_bad_image skip found no other image of its identity and modality that can be read; take "
        "the identity off the training list)"
    )


def blanks(files: Sequence[str]) -> list[Image.Image]:
    """Black images that stand for files which cannot be read, until their sample is left out of a test."""
    return [Image.new("RGB", _BLANK) for _ in files]


def reasons_in(batch: Mapping[str, Any]) -> list[str]:
    """Why samples of a batch could not be read, one text each, empty for the others; none where nobody asked."""
    return list(batch.get(UNREADABLE, ()))


def _shuffled(indices: Sequence[int], seed: int | None, index: int) -> Iterator[int]:
    order = np.random.default_rng([seed or 0, index]).permutation(len(indices))
    return (indices[place] for place in order)
