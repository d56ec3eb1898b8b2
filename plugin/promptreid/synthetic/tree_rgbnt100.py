"""The trees of RGBNT100 and RGBN300 (Li et al., AAAI 2020): vehicles, the bands of a moment side by side in a strip."""

from __future__ import annotations

from numpy.random import Generator

from promptreid.synthetic.draws import keyed, shuffled, whole
from promptreid.synthetic.plans import Plan, Recipe, Shot, Style, count_tested, draw_count
from promptreid.synthetic.triples import copies_of, strip

CAMERAS = range(1, 9)
FEWEST_CAMERAS = 4
LAST_ID = 600
QUERY_STEP = 5
TRAIN, QUERY, GALLERY = (f"rgbir/{name}" for name in ("bounding_box_train", "query", "bounding_box_test"))
VEHICLES = Style("vehicle")


def plan_rgbnt100(recipe: Recipe) -> Plan:
    """RGBNT100: strips of visible, near-infrared and thermal, ids 501 to 600."""
    return _plan(recipe, parts=3, half=50)


def plan_rgbn300(recipe: Recipe) -> Plan:
    """RGBN300: strips of visible and near-infrared, 300 ids."""
    return _plan(recipe, parts=2, half=150)


def _plan(recipe: Recipe, parts: int, half: int) -> Plan:
    """Odd ids to train on, even ones to test on; every fifth image of the gallery is a query as well.

    There are 600 numbers. The ids begin as late as they can with ``half`` identities in each half, and earlier where
    there are more.
    """
    rng = keyed(recipe.seed, "tree")
    tested = count_tested(recipe)
    sizes = (recipe.ids - tested, tested)
    room = max(half, *sizes)
    if 2 * room > LAST_ID:
        raise ValueError(
            f"ids: {recipe.like} numbers vehicles to {LAST_ID}, half of them to train on and half to test on, so there "
            f"can't be {sizes[0]} and {sizes[1]}; take fewer ids or an even split"
        )
    train, test = ([LAST_ID - 2 * (room - index) + parity for index in range(sizes[parity - 1])] for parity in (1, 2))
    shots = [shot for pid in train for shot in _shots(rng, TRAIN, pid, recipe.frames, parts)]
    gallery = [shot for pid in test for shot in _shots(rng, GALLERY, pid, recipe.frames, parts)]
    copies = copies_of(gallery[:: parts * QUERY_STEP], GALLERY, QUERY)
    return Plan(shots + gallery, {}, {camera: camera for camera in CAMERAS}, copies, VEHICLES)


def _shots(rng: Generator, folder: str, pid: int, frames: int, parts: int) -> list[Shot]:
    cameras = sorted(shuffled(rng, CAMERAS)[: whole(rng, FEWEST_CAMERAS, len(CAMERAS))])
    return [
        shot
        for camera in cameras
        for frame in range(draw_count(rng, frames))
        for shot in strip(f"{folder}/{pid:04d}_c{camera:04d}_{frame:03d}.jpg", parts, (pid, camera, frame))
    ]
