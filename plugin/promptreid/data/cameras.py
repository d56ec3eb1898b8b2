"""Which row of a model's camera table belongs to which camera of which data set.

A model trained on several data sets has their cameras one set after the other in its table. A test image is looked up
where the training has put its set's cameras; a set that was not trained on has none, and its cameras are unknown.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

logger = logging.getLogger(__name__)

UNKNOWN = -1
"""The camera of an image whose camera the model has not seen."""


def row_of(camera: int, offset: int | None) -> int:
    """The row of a set's camera (0-based, or :data:`UNKNOWN`) whose first camera has the row ``offset``."""
    return UNKNOWN if offset is None or camera < 0 else camera + offset


def map_test_cameras(datasets: Iterable[Any], rows: Mapping[str, int], tell: bool) -> None:
    """Let test sets look their cameras up where the training has put them.

    Args:
        datasets: test sets; those that are not multi-modal are passed over.
        rows: the ``camera_rows`` of the training set.
        tell: warn once for each set whose cameras are unknown to the model.
    """
    strangers = set()
    for dataset in datasets:
        space = getattr(dataset, "camera_space", "") or type(dataset).__name__
        if not hasattr(dataset, "camera_offset"):
            continue
        dataset.camera_offset = rows.get(space)
        if space not in rows:
            strangers.add(space)
    if strangers and tell:
        logger.warning(
            "the cameras of %s are not among those of the training (%s): their images get the neutral camera embedding",
            ", ".join(sorted(strangers)), ", ".join(rows) or "none",
        )  # fmt: skip
