"""Small twins of all RGB + NIR + TIR data sets, and what they plan."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from promptreid import synthetic
from promptreid.synthetic import FOLDERS, TREES, Plan, Shot, recipe_of

STRIPS = {"rgbnt100": 3, "rgbn300": 2}
TRIPLES = ("market_mm", "msvr310", "rgbnt201", "wmveid863")
LIKES = (*TRIPLES, *STRIPS)
VEHICLES = ("msvr310", "rgbn300", "rgbnt100", "wmveid863")
SIZES = {"market_mm": (32, 16), "rgbnt201": (32, 16), "msvr310": (16, 32), "wmveid863": (16, 32)}
OPTIONS: dict[str, dict[str, Any]] = {  # small trees
    **{like: {"ids": 7, "frames": 2, "size": size} for like, size in SIZES.items()},
    **{like: {"ids": 4, "frames": 1} for like in STRIPS},
}


def write_twins(root: Path) -> Path:
    """A folder with all twins."""
    for like in LIKES:
        count = synthetic.write_tree(like, root / FOLDERS[like], seed=1, **OPTIONS[like])
        assert count == len(list((root / FOLDERS[like]).rglob("*.jpg")))
    return root


def plan_of(like: str, ids: int = 30, seed: int = 1, **options: Any) -> Plan:
    return TREES[like](recipe_of(like, ids, seed, **options))


def moments(plan: Plan) -> dict[tuple[int, int, int], list[Shot]]:
    """The shots of each pid, camera and frame, in order."""
    found: dict[tuple[int, int, int], list[Shot]] = defaultdict(list)
    for shot in plan.shots:
        found[shot.pid, shot.camera, shot.frame].append(shot)
    return found
