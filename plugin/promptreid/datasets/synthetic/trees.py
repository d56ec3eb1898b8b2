"""The data sets that there are synthetic twins of.

A tree is planned by a pure function of the recipe; ``writer.write_tree`` renders the plan. To add a data set, write one
such function and enter it in :data:`TREES` and :data:`FOLDERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from promptreid.datasets.synthetic.plans import Plan, Recipe
from promptreid.datasets.synthetic.tree_llcm import plan_llcm
from promptreid.datasets.synthetic.tree_regdb import plan_regdb
from promptreid.datasets.synthetic.tree_sysu_mm01 import plan_sysu_mm01

TREES: dict[str, Callable[[Recipe], Plan]] = {
    "llcm": plan_llcm,
    "regdb": plan_regdb,
    "sysu_mm01": plan_sysu_mm01,
}
FOLDERS = {"llcm": "LLCM", "regdb": "RegDB", "sysu_mm01": "SYSU-MM01"}  # what the real data set's folder is called
DEFAULTS: dict[str, dict[str, Any]] = {  # where they are not those of ``Recipe``, which are for SYSU-MM01
    "llcm": {"frames": 3, "train_fraction": 713 / 1064},
    "regdb": {"frames": 10, "train_fraction": 0.5},
}


def recipe_of(like: str, ids: int, seed: int, **options: Any) -> Recipe:
    """The recipe of a tree; options (other fields of :class:`Recipe`) that are ``None`` are the data set's own.

    Raises:
        ValueError: an unknown data set, or values that can't be.
    """
    if like not in TREES:
        raise ValueError(f"like: there is no synthetic {like!r}; choose from {', '.join(sorted(TREES))}")
    chosen = {name: value for name, value in options.items() if value is not None}
    return Recipe(like, ids, seed, **{**DEFAULTS.get(like, {}), **chosen})
