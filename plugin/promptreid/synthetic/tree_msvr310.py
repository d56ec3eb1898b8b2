"""The tree of MSVR310 (Zheng et al., Information Fusion 2023): vehicles, each moment in three bands."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator

from promptreid.synthetic.draws import keyed, shuffled, whole
from promptreid.synthetic.plans import Plan, Recipe, Shot, Style, draw_count, draw_ids, split_in_two
from promptreid.synthetic.triples import at_least, check_tested, copies_of, triple

SCENES = range(1, 31)
VIEWS = range(8)
SEVERAL_SCENES_SHARE = 52 / 155
FOLDERS = ("vis", "ni", "th")
VEHICLES = Style("vehicle")


def plan_msvr310(recipe: Recipe) -> Plan:
    """MSVR310: folders of identities with ``vis``, ``ni`` and ``th``, in which a moment has one name.

    A third of the identities is met in several scenes. The test images of those are the queries, and in the gallery,
    too; the other test identities are distractors.
    """
    rng = keyed(recipe.seed, "tree")
    train, test = split_in_two(rng, draw_ids(rng, recipe.ids), recipe)
    check_tested(recipe, test, "a query and a distractor")
    shots: list[Shot] = []
    queries: list[Shot] = []
    for folder, pids in (("bounding_box_train", train), ("bounding_box_test", test)):
        several = set(shuffled(rng, pids)[: at_least(SEVERAL_SCENES_SHARE, len(pids))])
        for pid in pids:
            scenes = shuffled(rng, SCENES)[: whole(rng, 2, 3) if pid in several else 1]
            taken = _shots(rng, folder, pid, sorted(scenes), recipe.frames)
            shots += taken
            queries += taken if folder == "bounding_box_test" and pid in several else []
    return Plan(shots, {}, LOCATIONS, copies_of(queries, "bounding_box_test", "query3"), VEHICLES)


def camera_of(scene: int, view: int) -> int:
    """The number of the camera that looks from side ``view`` in ``scene``."""
    return scene * len(VIEWS) + view


LOCATIONS = {camera_of(scene, view): scene for scene in SCENES for view in VIEWS}


def _shots(rng: Generator, folder: str, pid: int, scenes: Sequence[int], frames: int) -> list[Shot]:
    shots: list[Shot] = []
    for scene in scenes:
        for view in sorted(shuffled(rng, VIEWS)[: whole(rng, 2, 4)]):
            for frame in range(draw_count(rng, frames)):
                name = f"{pid:04d}_s{scene:03d}_v{view}_{frame:03d}.jpg"
                shots += triple(f"{folder}/{pid:04d}", FOLDERS, name, (pid, camera_of(scene, view), frame))
    return shots
