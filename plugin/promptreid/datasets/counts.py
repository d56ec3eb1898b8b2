"""How many samples the authors of each data set published.

``published.py`` says where the numbers come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

_SPLITS_OF_REGDB = 10


class Count(NamedTuple):
    """Numbers of identities and samples (of one image, or of one per modality); None where nothing is published."""

    ids: int | None
    images: int


_SYSU = {
    ("train", "all"): Count(296, 30213),
    ("train", "visible"): Count(296, 20284),
    ("train", "infrared"): Count(296, 9929),
    ("val", "all"): Count(99, 3954),
    ("val", "visible"): Count(99, 1974),
    ("val", "infrared"): Count(99, 1980),
    ("train + val", "all"): Count(395, 34167),
    ("train + val", "cam1"): Count(None, 4721),
    ("train + val", "cam2"): Count(None, 5753),
    ("train + val", "cam3"): Count(None, 7909),
    ("train + val", "cam4"): Count(None, 5811),
    ("train + val", "cam5"): Count(None, 5973),
    ("train + val", "cam6"): Count(None, 4000),
    ("query", "all"): Count(96, 3803),
    ("query", "cam3"): Count(93, 1883),
    ("query", "cam6"): Count(96, 1920),
    ("gallery", "all"): Count(96, 6775),
    ("gallery", "cam1"): Count(56, 1374),
    ("gallery", "cam2"): Count(56, 1565),
    ("gallery", "cam4"): Count(94, 1918),
    ("gallery", "cam5"): Count(95, 1918),
    # The authors' README says 30071 and 15792 in all: it counts identities of none of the lists, too.
    ("all splits", "visible"): Count(None, 29033),
    ("all splits", "infrared"): Count(None, 15712),
}

_REGDB = {
    (f"split {split} {half}", modality): Count(206, 2060)
    for split in range(1, _SPLITS_OF_REGDB + 1)
    for half in ("train", "test")
    for modality in ("visible", "infrared")
} | {("all splits", modality): Count(None, 4120) for modality in ("visible", "infrared")}

_LLCM = {
    ("train", "all"): Count(713, 30921),
    ("train", "visible"): Count(713, 16946),
    ("train", "infrared"): Count(713, 13975),
    ("test", "all"): Count(351, 15846),
    ("test", "visible"): Count(None, 8680),
    ("test", "infrared"): Count(None, 7166),
    ("test", "infrared cam3"): Count(None, 0),
    ("all splits", "all"): Count(None, 46767),
}

_RGBNT201 = {
    ("train", "all"): Count(171, 3951),
    ("train", "complete"): Count(171, 3951),
    ("train", "cam1"): Count(None, 2592),
    ("train", "cam2"): Count(None, 1142),
    ("train", "cam3"): Count(None, 88),
    ("train", "cam4"): Count(None, 129),
    ("test", "all"): Count(30, 836),
    ("test", "complete"): Count(30, 836),
    ("test", "cam1"): Count(30, 365),
    ("test", "cam2"): Count(30, 471),
    ("all splits", "all"): Count(201, 4787),
}

_RGBNT100 = {
    ("train", "all"): Count(50, 8675),
    ("query", "all"): Count(50, 1715),
    ("gallery", "all"): Count(50, 8575),
    ("train + gallery", "all"): Count(100, 17250),
}

_MSVR310 = {
    ("train", "all"): Count(155, 1032),
    ("train", "complete"): Count(155, 1032),
    ("query", "all"): Count(52, 591),
    ("query", "complete"): Count(52, 591),
    ("gallery", "all"): Count(155, 1055),
    ("gallery", "complete"): Count(155, 1055),
}

_WMVEID863 = {
    ("train", "all"): Count(603, 3483),
    ("train", "complete"): Count(603, 3481),
    ("test", "all"): Count(272, 1232),
    ("test", "complete"): Count(272, 1228),
    ("test", "visible"): Count(None, 1228),
    ("test", "near_infrared"): Count(None, 1232),
    ("test", "thermal_infrared"): Count(None, 1231),
    ("train + test", "all"): Count(868, 4715),
    ("train + test", "complete"): Count(868, 4709),
}

_MARKET_MM = {
    (split, group): count
    for split, count in (("train", Count(751, 12936)), ("query", Count(750, 3368)), ("gallery", Count(751, 15913)))
    for group in ("all", "complete")
}

COUNTS: dict[str, Mapping[tuple[str, str], Count]] = {
    "sysu_mm01": _SYSU,
    "regdb": _REGDB,
    "llcm": _LLCM,
    "rgbnt201": _RGBNT201,
    "rgbnt100": _RGBNT100,
    "rgbn300": {("train + gallery", "all"): Count(300, 50125)},
    "msvr310": _MSVR310,
    "wmveid863": _WMVEID863,
    "market_mm": _MARKET_MM,
}
"""By data set, (split, group) -> count. A group is ``"all"``, ``"complete"`` (no modality is missing), a modality,
``"cam<1-based number>"`` or both of them (``"infrared cam3"``); the split ``"all splits"`` holds every sample once."""
