"""The tree of WMVEID863 (Zheng et al., 2023): vehicles by day and by night, each moment in three bands."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator

from promptreid.synthetic.draws import keyed, pick, shuffled, whole
from promptreid.synthetic.plans import Plan, Recipe, Shot, Style, draw_count, draw_ids, split_in_two
from promptreid.synthetic.triples import Triple, at_least, check_frames, check_tested, copies_of, triple

VIEWS = range(8)
FLAGS = (0, 0, 0, 1, 1, 9)  # day, night, unknown
UNKNOWN_SCENE = 999
ONE_VIEW_SHARE = 121 / 272
INCOMPLETE_SHARE = 1 / 40
FOLDERS = ("vis", "ni", "th")
NIGHT = len(VIEWS)  # what is added to the number of a view's camera by night
NIGHTLY = Style("vehicle", frozenset(NIGHT + view for view in VIEWS))


def plan_wmveid863(recipe: Recipe) -> Plan:
    """WMVEID863: folders of identities with ``vis``, ``ni`` and ``th``, in which a moment has one name.

    Of a few moments one image is missing, and some identities are seen from one side only. The first moment of each
    test identity and side is a query, too. Which real images are queries is not known to us, and real
    identities that are trained on and tested as well have no counterpart.
    """
    check_frames(recipe, 998)
    rng = keyed(recipe.seed, "tree")
    train, test = split_in_two(rng, draw_ids(rng, recipe.ids), recipe)
    check_tested(recipe, test, "one is seen from one side only")
    shots: list[Shot] = []
    queries: list[Shot] = []
    for folder, pids in (("train", train), ("test", test)):
        one_sided = set(shuffled(rng, pids)[: at_least(ONE_VIEW_SHARE, len(pids))]) if len(pids) > 1 else set()
        cells = [cell for pid in pids for cell in _cells(rng, folder, pid, pid in one_sided, recipe.frames)]
        missing = _missing(rng, [cell for cell in cells if cell[0][0].pid not in one_sided])
        shots += [shot for cell in cells for moment in cell for shot in moment if shot not in missing]
        queries += [shot for cell in cells for shot in cell[0] if folder == "test" and shot not in missing]
    locations = {camera: camera % len(VIEWS) for camera in range(2 * len(VIEWS))}
    return Plan(shots, {}, locations, copies_of(queries, "test", "query"), NIGHTLY)


def _cells(rng: Generator, folder: str, pid: int, one_sided: bool, frames: int) -> list[list[Triple]]:
    """The moments of an identity from each side."""
    views = sorted(shuffled(rng, VIEWS)[: 1 if one_sided else whole(rng, 2, 4)])
    scene = pick(rng, (UNKNOWN_SCENE, UNKNOWN_SCENE, whole(rng, 1, 30)))
    cells = []
    for view in views:
        flag = pick(rng, FLAGS)
        camera = view + (NIGHT if flag == 1 else 0)
        cells.append(
            [
                triple(
                    f"{folder}/{pid:04d}",
                    FOLDERS,
                    f"v{view}_n{flag}_s{scene:03d}_{frame:03d}.jpg",
                    (pid, camera, frame),
                )
                for frame in range(1, draw_count(rng, frames) + 1)
            ]
        )
    return cells


def _missing(rng: Generator, cells: Sequence[list[Triple]]) -> set[Shot]:
    """One image each of a few moments, at least of one; where there are others, none is the first of its cell."""
    later = [moment for cell in cells for moment in cell[1:]]
    moments = later or [moment for cell in cells for moment in cell]
    return {pick(rng, moment) for moment in shuffled(rng, moments)[: at_least(INCOMPLETE_SHARE, len(moments))]}
