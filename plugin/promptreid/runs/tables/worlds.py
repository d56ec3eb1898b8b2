"""Several worlds: the same rendered data set with other people, cameras and frames, each from a seed of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from promptreid.config.merge import merged
from promptreid.pretraining.images import FIRST_SEED

WORLD_STEP = 1000
"""Between the seeds of two worlds."""
FIRST_SCREENED = 50_000
"""From here to where pre-training's seeds begin are worlds that learning rates are chosen on, and no table tests on."""
NOT_RENDERED = 0
"""Stands for the one world of data that no renderer has made."""


def world_seeds(cfg: Any, worlds: int, screening: bool = False) -> list[int]:
    """Seeds of the worlds of a configuration: ``data.synthetic.seed`` and those :data:`WORLD_STEP` further each.

    Args:
        cfg: a tree from ``load_config``.
        worlds: how many.
        screening: those that no table tests on, from :data:`FIRST_SCREENED` on.

    Raises:
        ValueError: none, several of data that aren't rendered, or a seed outside its range.
    """
    if worlds < 1:
        raise ValueError(f"--worlds {worlds}: render at least one")
    if not cfg.data.synthetic.like:
        if worlds > 1:
            raise ValueError(
                f"--worlds {worlds}: data.synthetic.like is empty, so there is one set of images; leave it"
            )
        return [NOT_RENDERED]
    first = cfg.data.synthetic.seed
    last, end = first + (worlds - 1) * WORLD_STEP, (FIRST_SEED - FIRST_SCREENED if screening else FIRST_SCREENED)
    if not 0 <= first <= last < end:
        raise ValueError(
            f"--worlds {worlds}: data.synthetic.seed {first} and {WORLD_STEP} more for each further world would reach "
            f"{last}, and has to stay from 0 to {end - 1}; take fewer worlds or a smaller seed"
        )
    start = first + (FIRST_SCREENED if screening else 0)
    return [start + number * WORLD_STEP for number in range(worlds)]


def in_world(cfg: Any, world: int) -> Any:
    """The configuration in one of its worlds, with a folder of its own for the images and for the runs."""
    if world == NOT_RENDERED and not cfg.data.synthetic.like:
        return cfg
    name = f"world-{world}"
    places = {
        key: str(Path(place) / name)
        for key, place in (("data.root", cfg.data.root), ("data.save_dir", cfg.data.save_dir))
    }
    return merged(cfg, {"data.synthetic.seed": world, **places})
