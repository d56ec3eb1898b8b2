"""The tree of LLCM (Zhang and Wang, CVPR 2023): nine cameras that film in visible and near-infrared light."""

from __future__ import annotations

from numpy.random import Generator

from promptreid.synthetic.draws import keyed, shuffled, whole
from promptreid.synthetic.plans import Plan, Recipe, Shot, draw_count, id_line, labelled_lines, split_in_two

CAMERAS = range(1, 10)
FEWEST_CAMERAS = 5  # that see a person; at three images each, about the 44 images per person of the real set
NO_INFRARED_TEST = 3  # the camera of which there are no infrared test images
BANDS_OF_SIDES = {"vis": "visible", "nir": "near_infrared"}


def plan_llcm(recipe: Recipe) -> Plan:
    """LLCM: training images in ``vis`` and ``nir``, test images in ``test_vis`` and ``test_nir``, the lists in ``idx``.

    A person is seen by five to nine cameras, by each of them in both modalities. The real set has its test images in
    ``vis`` and ``nir`` as well, with lists of their own that no protocol reads; these copies are left out.
    """
    rng = keyed(recipe.seed, "tree")
    train, test = split_in_two(rng, range(1, recipe.ids + 1), recipe)
    trained = [shot for pid in train for shot in _shots(rng, pid, recipe.frames, tested=False)]
    tested = [shot for pid in test for shot in _shots(rng, pid, recipe.frames, tested=True)]
    files = {"idx/test_id.txt": id_line(test)}
    for side, band in BANDS_OF_SIDES.items():
        files[f"idx/train_{side}.txt"] = labelled_lines([shot for shot in trained if shot.band == band], train)
    return Plan(trained + tested, files, {camera: camera for camera in CAMERAS})


def _shots(rng: Generator, pid: int, frames: int, tested: bool) -> list[Shot]:
    """All images of one person, visible ones first."""
    cameras = sorted(shuffled(rng, CAMERAS)[: whole(rng, FEWEST_CAMERAS, len(CAMERAS))])
    return [
        _shot(side, pid, camera, moment, tested)
        for side in BANDS_OF_SIDES
        for camera in cameras
        if not (tested and side == "nir" and camera == NO_INFRARED_TEST)
        for moment in _moments(rng, side, frames)
    ]


def _moments(rng: Generator, side: str, frames: int) -> range:
    """Frame numbers of one cell. Infrared ones follow on visible ones: the cameras film by day and again by night."""
    first = 1 if side == "vis" else frames + 2
    return range(first, first + draw_count(rng, frames))


def _shot(side: str, pid: int, camera: int, moment: int, tested: bool) -> Shot:
    session = list(BANDS_OF_SIDES).index(side) + 1
    name = f"{pid:04d}_c{camera:02d}_s{session:06d}_f{moment:04d}_{side}.jpg"
    folder = f"test_{side}/cam{camera}/{pid:04d}" if tested else f"{side}/{pid:04d}"
    return Shot(f"{folder}/{name}", pid, camera, moment, BANDS_OF_SIDES[side])
