"""The data sets that there are synthetic twins of.

A tree is planned by a pure function of the recipe; ``writer.write_tree`` renders the plan. To add a data set, write one
such function and enter it in :data:`TREES` and :data:`FOLDERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from promptreid.synthetic.plans import Plan, Recipe
from promptreid.synthetic.tree_llcm import plan_llcm
from promptreid.synthetic.tree_market_mm import plan_market_mm
from promptreid.synthetic.tree_msvr310 import plan_msvr310
from promptreid.synthetic.tree_regdb import plan_regdb
from promptreid.synthetic.tree_rgbnt100 import plan_rgbn300, plan_rgbnt100
from promptreid.synthetic.tree_rgbnt201 import plan_rgbnt201
from promptreid.synthetic.tree_sysu_mm01 import plan_sysu_mm01
from promptreid.synthetic.tree_wmveid863 import plan_wmveid863

TREES: dict[str, Callable[[Recipe], Plan]] = {
    "llcm": plan_llcm,
    "market_mm": plan_market_mm,
    "msvr310": plan_msvr310,
    "regdb": plan_regdb,
    "rgbn300": plan_rgbn300,
    "rgbnt100": plan_rgbnt100,
    "rgbnt201": plan_rgbnt201,
    "sysu_mm01": plan_sysu_mm01,
    "wmveid863": plan_wmveid863,
}
FOLDERS = {  # what the real data set's folder is called
    "llcm": "LLCM",
    "market_mm": "Market1501-MM",
    "msvr310": "MSVR310",
    "regdb": "RegDB",
    "rgbn300": "RGBN300",
    "rgbnt100": "RGBNT100",
    "rgbnt201": "RGBNT201",
    "sysu_mm01": "SYSU-MM01",
    "wmveid863": "WMVEID863",
}
VEHICLE_SIZE = (128, 256)
DEFAULTS: dict[str, dict[str, Any]] = {  # where they are not those of ``Recipe``, which are for SYSU-MM01
    "llcm": {"frames": 3, "train_fraction": 713 / 1064},
    "market_mm": {"frames": 3, "train_fraction": 751 / 1501},
    "msvr310": {"frames": 2, "train_fraction": 0.5, "size": VEHICLE_SIZE},
    "regdb": {"frames": 10, "train_fraction": 0.5},
    "rgbn300": {"frames": 3, "train_fraction": 0.5, "size": VEHICLE_SIZE},
    "rgbnt100": {"frames": 3, "train_fraction": 0.5, "size": VEHICLE_SIZE},
    "rgbnt201": {"train_fraction": 171 / 201},
    "wmveid863": {"frames": 2, "train_fraction": 603 / 875, "size": VEHICLE_SIZE},
}
STRIPS = ("rgbn300", "rgbnt100")  # whose readers cut parts of this one size


def recipe_of(like: str, ids: int, seed: int, **options: Any) -> Recipe:
    """The recipe of a tree; options (other fields of :class:`Recipe`) that are ``None`` are the data set's own.

    Raises:
        ValueError: an unknown data set, values that can't be, or strips with parts that are not 128 x 256.
    """
    if like not in TREES:
        raise ValueError(f"like: there is no synthetic {like!r}; choose from {', '.join(sorted(TREES))}")
    chosen = {name: value for name, value in options.items() if value is not None}
    recipe = Recipe(like, ids, seed, **{**DEFAULTS.get(like, {}), **chosen})
    if like in STRIPS and recipe.size != VEHICLE_SIZE:
        raise ValueError(f"size: the parts of a strip of {like} are 128 x 256, not {recipe.size}; leave it out")
    return recipe
