"""What determines a tree and what it holds, before a single pixel is rendered; draws that the planners share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from numpy.random import Generator

from promptreid.synthetic.draws import shuffled, whole
from promptreid.synthetic.physics import RENDERER, physics_of


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
        renderer: A key of ``physics.RENDERERS``.

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
    renderer: int = RENDERER

    def __post_init__(self) -> None:
        physics_of(self.renderer)
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
class Style:
    """How all the shots of a tree are taken.

    Args:
        subject: ``person`` or ``vehicle``. A vehicle's camera looks from the side ``camera % 8`` of ``sight.SIDES``.
        night: The cameras that film in the dark, vehicles with their lamps on.
        graded: The near-infrared picture is the grey version of the visible one, which is darkened by 60 %.
        dusk: Share of the moments in which little visible light is left. Near-infrared cameras bring their own light.
    """

    subject: str = "person"
    night: frozenset[int] = frozenset()
    graded: bool = False
    dusk: float = 0.0


PEOPLE = Style()


@dataclass(frozen=True)
class Plan:
    """A tree on paper.

    Args:
        shots: The images. Successive shots with one path are one image, side by side from left to right.
        files: The text files.
        locations: That of each camera (equal: same room).
        copies: Images that the tree has twice: the path of the second to that of the first.
        style: How the shots are taken.
    """

    shots: list[Shot]
    files: dict[str, str]
    locations: dict[int, int] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    style: Style = PEOPLE


def draw_ids(rng: Generator, count: int) -> list[int]:
    """``count`` ids in ascending order, with gaps as in the real sets (SYSU-MM01: 491 ids up to 533)."""
    return sorted(shuffled(rng, range(1, min(9999, count + 1 + count // 12) + 1))[:count])


def count_tested(recipe: Recipe) -> int:
    """How many of the identities a split in two leaves to test on: neither none nor all."""
    if recipe.test_ids is not None:
        return recipe.test_ids
    return recipe.ids - min(max(1, round(recipe.train_fraction * recipe.ids)), recipe.ids - 1)


def split_in_two(rng: Generator, pids: Sequence[int], recipe: Recipe) -> tuple[list[int], list[int]]:
    """Ids to train on and to test on, both ascending and neither empty."""
    tested = count_tested(recipe)
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
