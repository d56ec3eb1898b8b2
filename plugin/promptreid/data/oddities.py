"""What image files have beside pixels and is passed over: an orientation to be shown in, and further frames."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image
from torch.utils.data import get_worker_info

logger = logging.getLogger(__name__)

KINDS = ROTATED, FRAMES = "rotated", "frames"
_UPRIGHT = 1
_told: set[str] = set()


def notice(path: str, image: Image.Image) -> None:
    """Log, once in a process for each, that an orientation or further frames of an opened image are passed over.

    Worker processes of a loader leave it to their parent.
    """
    if len(_told) < len(KINDS) and get_worker_info() is None:
        tell(oddities_of(path, image))


def tell(texts: Mapping[str, str]) -> None:
    """Log what :func:`oddities_of` has said of an image, unless the same was told of another."""
    for kind, text in texts.items():
        if kind not in _told:
            _told.add(kind)
            logger.warning("%s", text)


def oddities_of(path: str, image: Image.Image) -> dict[str, str]:
    """What is to be said of an opened image, by :data:`ROTATED` and :data:`FRAMES`; often nothing."""
    found = {}
    orientation = _orientation(image)
    if orientation != _UPRIGHT:
        found[ROTATED] = (
            f"{path}: the file asks to be shown turned or mirrored (EXIF orientation {orientation}), and is read as it "
            "is stored, as torchreid and the field's codes read it; turn the pixels where persons lie on their side"
        )
    if getattr(image, "is_animated", False):
        found[FRAMES] = f"{path}: the file holds several frames, of which the first is read"
    return found


def _orientation(image: Image.Image) -> int:
    """2 to 8 where an image is to be turned or mirrored; 1 where not, and where its EXIF data are broken."""
    if "exif" not in image.info and not hasattr(image, "tag_v2"):
        return _UPRIGHT
    try:
        value: Any = image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
    except Exception:  # broken data may provoke anything, and the pixels are fine
        return _UPRIGHT
    return value if isinstance(value, int) and _UPRIGHT < value <= 8 else _UPRIGHT
