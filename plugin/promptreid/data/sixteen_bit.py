"""16-bit grey images as 8-bit ones.

Thermal cameras write 14 bits of counts or centi-kelvin: a person lies within a few hundred of the 65536 levels.
Scaled as a whole, such an image has a handful of grey levels.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

from promptreid.config.own_keys import RANGES_16BIT as NAMES

logger = logging.getLogger(__name__)

TOP = 65535
NARROW = 0.1
"""Share of all levels below which an image hardly shows anything in 8 of 16 bits."""

_warned = False


@dataclass(frozen=True)
class Range16:
    """Which levels become 0 and 255; what lies outside is cut off.

    Attributes:
        name: ``full`` (0 and 65535), ``minmax`` (of each image, its lowest and highest) or ``fixed``.
        limits: lowest and highest level of ``fixed``; else empty.

    Raises:
        ValueError: an unknown name, or limits that don't go with it or aren't a range.
    """

    name: str = NAMES[0]
    limits: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"data.range_16bit: unknown name {self.name!r} (one of {', '.join(NAMES)})")
        if self.name != "fixed" and self.limits:
            raise ValueError(
                f"data.limits_16bit {list(self.limits)} has no use with data.range_16bit {self.name}: set that to "
                "fixed, or leave the limits out"
            )
        if self.name == "fixed" and not (len(self.limits) == 2 and 0 <= self.limits[0] < self.limits[1] <= TOP):
            raise ValueError(
                f"data.limits_16bit {list(self.limits)}: data.range_16bit fixed needs the lowest and the highest "
                f"level, within 0 and {TOP}, such as [7000, 9500]"
            )

    def __str__(self) -> str:
        return f"{self.name} {list(self.limits)}" if self.limits else self.name

    def scaled(self, values: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Levels 0 to 65535 as 0 to 255, rounded; an image of one level is black under ``minmax``."""
        levels = values.astype(np.int64)
        low, high = {"full": (0, TOP), "fixed": self.limits}.get(self.name) or (int(levels.min()), int(levels.max()))
        width = max(high - low, 1)
        cut = np.clip(levels - low, 0, width)
        return ((2 * 255 * cut + width) // (2 * width)).astype(np.uint8)


FULL = Range16()


def is_narrow(values: NDArray[np.integer]) -> bool:
    """Whether an image uses less than a tenth of the levels."""
    return int(values.max()) - int(values.min()) < NARROW * TOP


def warn_if_narrow(path: str, values: NDArray[np.integer]) -> None:
    """Log, once in a process, that an image which is read with ``full`` uses less than a tenth of the levels.

    Worker processes of a loader leave it to their parent.
    """
    global _warned
    if _warned or get_worker_info() is not None or not is_narrow(values):
        return
    _warned = True
    logger.warning("%s", narrow_text(path, values))


def narrow_text(path: str, values: NDArray[np.integer]) -> str:
    """What is to be said of an image that uses less than a tenth of the levels."""
    low, high = int(values.min()), int(values.max())
    grey = int(FULL.scaled(values).max()) - int(FULL.scaled(values).min()) + 1
    return (
        f"{path}: a 16-bit image of the levels {low} to {high}, of which data.range_16bit full makes {grey} grey "
        "levels: set it to minmax, or to fixed with data.limits_16bit"
    )
