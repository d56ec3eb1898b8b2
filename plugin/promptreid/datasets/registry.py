"""Every data set of promptreid, by the name under which torchreid knows it."""

from __future__ import annotations

from functools import partial

from promptreid.data.dataset import DatasetFactory
from promptreid.datasets.sysu_mm01 import SYSUMM01

DATASETS: dict[str, DatasetFactory] = {
    "sysu_mm01": SYSUMM01,
    "sysu_mm01_multishot": partial(SYSUMM01, shots=10),
    "sysu_mm01_indoor": partial(SYSUMM01, search="indoor"),
    "sysu_mm01_indoor_multishot": partial(SYSUMM01, search="indoor", shots=10),
}
