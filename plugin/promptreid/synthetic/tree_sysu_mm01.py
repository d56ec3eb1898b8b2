"""The tree of SYSU-MM01 (Wu et al., ICCV 2017): six cameras, two of them near-infrared, and id lists."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator

from promptreid.synthetic.draws import chance, keyed, pick, shuffled
from promptreid.synthetic.plans import Plan, Recipe, Shot, draw_count, draw_ids, id_line

VALIDATION_SHARE = 0.08
INDOOR_SHARE = 56 / 96
BANDS_OF_CAMERAS = {camera: "near_infrared" if camera in (3, 6) else "visible" for camera in range(1, 7)}
LOCATIONS = {1: 1, 2: 2, 3: 2, 4: 4, 5: 5, 6: 6}


def plan_sysu_mm01(recipe: Recipe) -> Plan:
    """SYSU-MM01: ``cam1`` .. ``cam6`` with four-digit ids and frames, and the id lists in ``exp``.

    As among the real test ids, 58 % of each split's are seen by cameras 1 and 2, so take part in indoor search.
    """
    rng = keyed(recipe.seed, "tree")
    pids = draw_ids(rng, recipe.ids)
    splits = dict(zip(("train", "val", "test"), split_ids(rng, pids, recipe), strict=True))
    files = {f"exp/{name}_id.txt": id_line(ids) for name, ids in [*splits.items(), ("available", pids)]}
    shots: list[Shot] = []
    for ids in splits.values():
        indoor = set(shuffled(rng, ids)[: -int(-len(ids) * INDOOR_SHARE // 1)])
        for pid in ids:
            for camera in _cameras(rng, pid in indoor):
                count = draw_count(rng, recipe.frames)
                folder = f"cam{camera}/{pid:04d}"
                shots += [
                    Shot(f"{folder}/{frame:04d}.jpg", pid, camera, frame, BANDS_OF_CAMERAS[camera])
                    for frame in range(1, count + 1)
                ]
    return Plan(shots, files, LOCATIONS)


def split_ids(rng: Generator, pids: Sequence[int], recipe: Recipe) -> tuple[list[int], list[int], list[int]]:
    """Ids to train on, to validate on and to test on, each ascending and none empty."""
    validate = max(1, round(VALIDATION_SHARE * recipe.ids))
    if recipe.test_ids is None:
        train = min(max(1, round(recipe.train_fraction * recipe.ids)), recipe.ids - 2)
        validate = min(validate, recipe.ids - train - 1)
    else:
        validate = min(validate, recipe.ids - recipe.test_ids - 1)
        train = recipe.ids - recipe.test_ids - validate
    order = shuffled(rng, pids)
    return sorted(order[:train]), sorted(order[train : train + validate]), sorted(order[train + validate :])


def _cameras(rng: Generator, indoor: bool) -> list[int]:
    """The cameras that filmed one person; as in the real set, few miss one, and cam6 misses nobody."""
    missed = pick(rng, (3, 4, 5)) if chance(rng, 0.05) else None
    return [camera for camera in range(1 if indoor else 3, 7) if camera != missed]
