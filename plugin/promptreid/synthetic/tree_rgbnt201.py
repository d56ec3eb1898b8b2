"""The tree of RGBNT201 (Zheng et al., AAAI 2021): persons, each moment in three bands."""

from __future__ import annotations

from numpy.random import Generator

from promptreid.synthetic.draws import keyed, shuffled, whole
from promptreid.synthetic.plans import Plan, Recipe, Shot, Style, draw_count, draw_ids, split_in_two
from promptreid.synthetic.triples import at_least, check_frames, triple

CAMERAS = range(1, 5)
TWO_CAMERAS_SHARE = 51 / 171  # of the training identities
TEST_CAMERAS = (1, 2)
DUSK = 0.7  # of the moments, from renderer 2 on: the real set was filmed to see what infrared adds in poor light
FOLDERS = ("RGB", "NI", "TI")
# The cameras of those with one: cameras 3 and 4 see few, but some in the smallest tree.
ONE_CAMERA = (1, 3, 2, 4, 1, 1, 2, 1, 1, 2, 1, 1, 1, 2, 1, 1, 2, 1, 1, 2)


def plan_rgbnt201(recipe: Recipe) -> Plan:
    """RGBNT201: ``train_171`` and ``test``, each with ``RGB``, ``NI`` and ``TI``, in which a moment has one name.

    Most training identities are seen by one camera, test identities by cameras 1 and 2. The folder is called
    ``train_171`` however many there are.
    """
    check_frames(recipe, 99)
    rng = keyed(recipe.seed, "tree")
    train, test = split_in_two(rng, draw_ids(rng, recipe.ids), recipe)
    shots: list[Shot] = []
    for pid, cameras in zip(train, _train_cameras(rng, len(train)), strict=True):
        shots += _shots(rng, "train_171", pid, cameras, recipe.frames)
    for pid in test:
        shots += _shots(rng, "test", pid, TEST_CAMERAS, recipe.frames)
    style = Style(dusk=DUSK if recipe.renderer > 1 else 0.0)
    return Plan(shots, {}, {camera: camera for camera in CAMERAS}, style=style)


def _train_cameras(rng: Generator, count: int) -> list[tuple[int, ...]]:
    """The cameras of each training identity."""
    two = at_least(TWO_CAMERAS_SHARE, count)
    one: list[tuple[int, ...]] = [(ONE_CAMERA[index % len(ONE_CAMERA)],) for index in range(count - two)]
    return shuffled(rng, [*one, *[TEST_CAMERAS] * two])


def _shots(rng: Generator, folder: str, pid: int, cameras: tuple[int, ...], frames: int) -> list[Shot]:
    shots: list[Shot] = []
    for camera in cameras:
        sequence = whole(rng, 0, 1)
        for frame in range(draw_count(rng, frames)):
            name = f"{pid:06d}_cam{camera}_{sequence}_{frame:02d}.jpg"
            shots += triple(folder, FOLDERS, name, (pid, camera, frame))
    return shots
