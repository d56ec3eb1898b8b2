"""What a tree holds: the real data sets' folders, names, cameras and id lists, without a single pixel.

A tree is planned by a pure function of the recipe; ``writer.write_tree`` renders the plan. To add a data set, write one
such function and enter it in :data:`TREES` and :data:`FOLDERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from numpy.random import Generator

from promptreid.datasets.synthetic.draws import chance, keyed, pick, shuffled, whole

VALIDATION_SHARE = 0.08


@dataclass(frozen=True)
class Recipe:
    """What determines a tree, to the last pixel.

    Args:
        like: The data set to look like, a key of :data:`TREES`.
        ids: Number of usable identities.
        seed: Non-negative; another seed gives other people, cameras and splits.
        frames: Images per identity and camera, give or take one.
        size: Height and width of the images in pixels, both even.
        train_fraction: Share of the identities to train on.
        test_ids: Number of identities to test on, instead of what ``train_fraction`` leaves.

    Raises:
        ValueError: values that can't be.
    """

    like: str
    ids: int
    seed: int
    frames: int = 6
    size: tuple[int, int] = (128, 64)
    train_fraction: float = 0.6
    test_ids: int | None = None

    def __post_init__(self) -> None:
        if self.like not in TREES:
            raise ValueError(f"like: there is no synthetic {self.like!r}; choose from {', '.join(sorted(TREES))}")
        if not 3 <= self.ids <= 9000:
            raise ValueError(f"ids: must be 3 to 9000 (one each to train, validate and test on), not {self.ids}")
        if self.seed < 0:
            raise ValueError(f"seed: must not be negative, not {self.seed}")
        if not 1 <= self.frames <= 999:
            raise ValueError(f"frames: must be 1 to 999, not {self.frames}")
        if any(side % 2 or not 16 <= side <= 1024 for side in self.size):
            raise ValueError(f"size: height and width must be even and 16 to 1024, not {self.size}")
        if not 0.0 < self.train_fraction < 1.0:
            raise ValueError(f"train_fraction: must lie between 0 and 1, not {self.train_fraction}")
        if self.test_ids is not None and not 1 <= self.test_ids <= self.ids - 2:
            raise ValueError(f"test_ids: must be 1 to {self.ids - 2} for {self.ids} ids, not {self.test_ids}")


@dataclass(frozen=True)
class Shot:
    """One image to render: file ``path`` (relative) shows ``pid`` before ``camera`` at moment ``frame`` in ``band``."""

    path: str
    pid: int
    camera: int
    frame: int
    band: str


@dataclass(frozen=True)
class Plan:
    """A tree on paper: the shots, the text files, and the location of each camera (equal: same room)."""

    shots: list[Shot]
    files: dict[str, str]
    locations: dict[int, int] = field(default_factory=dict)


def draw_ids(rng: Generator, count: int) -> list[int]:
    """``count`` ids in ascending order, with gaps as in the real sets (SYSU-MM01: 491 ids up to 533)."""
    return sorted(shuffled(rng, range(1, min(9999, count + 1 + count // 12) + 1))[:count])


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


SYSU_BANDS = {camera: "near_infrared" if camera in (3, 6) else "visible" for camera in range(1, 7)}
SYSU_LOCATIONS = {1: 1, 2: 2, 3: 2, 4: 4, 5: 5, 6: 6}
SYSU_INDOOR_SHARE = 56 / 96


def _sysu_cameras(rng: Generator, indoor: bool) -> list[int]:
    """The cameras that filmed one person; as in the real set, few miss one, and cam6 misses nobody."""
    missed = pick(rng, (3, 4, 5)) if chance(rng, 0.05) else None
    return [camera for camera in range(1 if indoor else 3, 7) if camera != missed]


def plan_sysu_mm01(recipe: Recipe) -> Plan:
    """SYSU-MM01: ``cam1`` .. ``cam6`` with four-digit ids and frames, and the id lists in ``exp``.

    As among the real test ids, 58 % of each split's are seen by cameras 1 and 2, so take part in indoor search.
    """
    rng = keyed(recipe.seed, "tree")
    pids = draw_ids(rng, recipe.ids)
    splits = dict(zip(("train", "val", "test"), split_ids(rng, pids, recipe), strict=True))
    files = {f"exp/{name}_id.txt": _line(ids) for name, ids in [*splits.items(), ("available", pids)]}
    shots: list[Shot] = []
    for ids in splits.values():
        indoor = set(shuffled(rng, ids)[: -int(-len(ids) * SYSU_INDOOR_SHARE // 1)])
        for pid in ids:
            for camera in _sysu_cameras(rng, pid in indoor):
                count = max(1, whole(rng, recipe.frames - 1, recipe.frames + 1))
                folder = f"cam{camera}/{pid:04d}"
                shots += [
                    Shot(f"{folder}/{frame:04d}.jpg", pid, camera, frame, SYSU_BANDS[camera])
                    for frame in range(1, count + 1)
                ]
    return Plan(shots, files, SYSU_LOCATIONS)


def _line(ids: Sequence[int]) -> str:
    return ",".join(map(str, ids)) + "\n"


TREES: dict[str, Callable[[Recipe], Plan]] = {"sysu_mm01": plan_sysu_mm01}
FOLDERS = {"sysu_mm01": "SYSU-MM01"}  # what the real data set's folder is called
