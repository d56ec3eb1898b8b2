"""What determines a tree and what it holds, before a single pixel is rendered; draws that the planners share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from numpy.random import Generator

from promptreid.datasets.synthetic.draws import shuffled, whole


@dataclass(frozen=True)
class Recipe:
    """What determines a tree, to the last pixel. ``trees.recipe_of`` makes one with each data set's own defaults.

    Args:
        like: The data set to look like, a key of ``TREES``.
        ids: Number of usable identities.
        seed: Non-negative; another seed gives other people, cameras and splits.
        frames: Images per identity, camera and modality; give or take one where the real numbers vary.
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


def split_in_two(rng: Generator, pids: Sequence[int], recipe: Recipe) -> tuple[list[int], list[int]]:
    """Ids to train on and to test on, both ascending and neither empty."""
    tested = recipe.test_ids
    if tested is None:
        tested = len(pids) - min(max(1, round(recipe.train_fraction * len(pids))), len(pids) - 1)
    order = shuffled(rng, pids)
    return sorted(order[tested:]), sorted(order[:tested])


def draw_count(rng: Generator, frames: int) -> int:
    """The number of images of one identity before one camera: ``frames``, give or take one, and never none."""
    return max(1, whole(rng, frames - 1, frames + 1))


def id_line(pids: Sequence[int]) -> str:
    """The text of an id list: one line of comma-separated ids."""
    return ",".join(map(str, pids)) + "\n"


def labelled_lines(shots: Sequence[Shot], pids: Sequence[int]) -> str:
    """The text of an image list: ``path label`` lines of the shots of ``pids``, whose labels count from 0."""
    label_of = {pid: label for label, pid in enumerate(pids)}
    return "".join(f"{shot.path} {label_of[shot.pid]}\n" for shot in shots if shot.pid in label_of)
