"""The tree of RegDB (Nguyen et al., Sensors 2017): a visible and a thermal camera side by side, ten splits."""

from __future__ import annotations

from numpy.random import Generator

from promptreid.synthetic.draws import keyed, shuffled
from promptreid.synthetic.plans import Plan, Recipe, Shot, labelled_lines, split_in_two

NUM_SPLITS = 10
CAMERA_PAIR = 1
BANDS_OF_FOLDERS = {"Visible": "visible", "Thermal": "thermal_infrared"}


def plan_regdb(recipe: Recipe) -> Plan:
    """RegDB: ``Visible`` and ``Thermal`` with a folder of bitmaps for each person, and the lists in ``idx``.

    Every person has ``recipe.frames`` images of each modality. The splits are drawn one by one, so with very few
    persons some of the ten are equal.
    """
    rng, persons = keyed(recipe.seed, "tree"), range(1, recipe.ids + 1)
    shots: dict[str, list[Shot]] = {name: [] for name in BANDS_OF_FOLDERS}
    for pid in persons:
        for name, moments in zip(shots, _moments(rng, recipe.frames), strict=True):
            shots[name] += [_shot(name, pid, moment) for moment in moments]
    files = {}
    for split in range(1, NUM_SPLITS + 1):
        halves = split_in_two(keyed(recipe.seed, "tree", split), persons, recipe)
        for half, pids in zip(("train", "test"), halves, strict=True):
            for name, side in shots.items():
                files[f"idx/{half}_{name.lower()}_{split}.txt"] = labelled_lines(side, pids)
    return Plan([shot for side in shots.values() for shot in side], files, {CAMERA_PAIR: 1})


def _moments(rng: Generator, frames: int) -> tuple[list[int], list[int]]:
    """The frame numbers of a person's visible and thermal images, ascending.

    No two are equal: two pictures of one moment share pose, crop and light, by which they could be matched without a
    look at the person.
    """
    drawn = shuffled(rng, range(1, 4 * frames + 1))
    return sorted(drawn[:frames]), sorted(drawn[frames : 2 * frames])


def _shot(folder: str, pid: int, moment: int) -> Shot:
    # Real names begin with the person's sex and side. Nothing reads that, and here it is the same for all.
    name = f"male_front_{folder[0].lower()}_{moment:05d}_{pid}.bmp"
    return Shot(f"{folder}/{pid}/{name}", pid, CAMERA_PAIR, moment, BANDS_OF_FOLDERS[folder])
