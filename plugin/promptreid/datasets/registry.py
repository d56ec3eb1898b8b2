"""Registry of the data sets of promptreid, by their names in torchreid."""

from __future__ import annotations

from functools import partial

from promptreid.data.dataset import DatasetFactory
from promptreid.datasets import as_triples, one_band
from promptreid.datasets.llcm import LLCM
from promptreid.datasets.market_mm import MarketMM
from promptreid.datasets.msvr310 import MSVR310
from promptreid.datasets.regdb import RegDB
from promptreid.datasets.rgbnt100 import RGBN300, RGBNT100
from promptreid.datasets.rgbnt201 import RGBNT201
from promptreid.datasets.sysu_mm01 import SYSUMM01
from promptreid.datasets.table import Table
from promptreid.datasets.wmveid863 import WMVEID863

TRIPLES: dict[str, DatasetFactory] = {
    "rgbnt201": RGBNT201,
    "rgbnt201_dev": partial(RGBNT201, dev=True),
    "rgbnt100": RGBNT100,
    "rgbn300": RGBN300,
    "msvr310": MSVR310,
    "wmveid863": WMVEID863,
    "market_mm": MarketMM,
}
"""Those whose samples have several images."""

DATASETS: dict[str, DatasetFactory] = {
    "sysu_mm01": SYSUMM01,
    "sysu_mm01_multishot": partial(SYSUMM01, shots=10),
    "sysu_mm01_indoor": partial(SYSUMM01, search="indoor"),
    "sysu_mm01_indoor_multishot": partial(SYSUMM01, search="indoor", shots=10),
    # Both directions are tested in any case; the name says which one comes first.
    "regdb": RegDB,
    "regdb_v2i": partial(RegDB, direction="visible-infrared"),
    "regdb_i2v": partial(RegDB, direction="infrared-visible"),
    "llcm": LLCM,
    "llcm_i2v": partial(LLCM, direction="infrared-visible"),
    "llcm_v2i": partial(LLCM, direction="visible-infrared"),
    "llcm_v2i_readme_2023": partial(LLCM, direction="visible-infrared", variant="llcm-readme-2023"),
    **TRIPLES,
    **one_band.variants(TRIPLES),
    "table": Table,
    **as_triples.factories(),
}
"""Those that others register come in later."""

BUILT_IN = frozenset(DATASETS)
