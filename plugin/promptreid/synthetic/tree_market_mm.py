"""The tree of Market1501-MM (Wang et al., AAAI 2022): Market-1501 in three bands, of which two were computed."""

from __future__ import annotations

from numpy.random import Generator

from promptreid.synthetic.draws import keyed, shuffled, whole
from promptreid.synthetic.plans import Plan, Recipe, Shot, Style, draw_count, draw_ids, split_in_two
from promptreid.synthetic.triples import triple

CAMERAS = range(1, 7)
SEQUENCES = (1, 6)
FOLDERS = ("RGB", "NI", "TI")
DRAWN_BY_HAND = 0  # the box number of queries
# Gallery images of nobody to be found, and badly cut ones, per image of a test identity.
STRANGERS = {"0000": 2793 / 13120, "-1": 3819 / 13120}
GRADED = Style(graded=True)


def plan_market_mm(recipe: Recipe) -> Plan:
    """Market1501-MM: ``train``, ``query`` and ``gallery``, each with ``RGB``, ``NI`` and ``TI`` and Market's names.

    Test identities have one query per camera. The gallery also shows distractors (0000) and junk (-1), each another
    person; junk is cut like the rest.
    """
    rng = keyed(recipe.seed, "tree")
    pids = draw_ids(rng, recipe.ids)
    train, test = split_in_two(rng, pids, recipe)
    trained, queries, gallery = _Folder("train"), _Folder("query"), _Folder("gallery")
    for pid in train:
        for camera in _cameras(rng):
            trained.add(rng, pid, camera, range(draw_count(rng, recipe.frames)))
    for pid in test:
        for camera in _cameras(rng):
            queries.add(rng, pid, camera, range(1), by_hand=True)
            gallery.add(rng, pid, camera, range(1, 1 + draw_count(rng, recipe.frames)))
    known, stranger = len(gallery.shots) // len(FOLDERS), max(pids)
    for label, share in STRANGERS.items():
        for _ in range(max(1, round(share * known))):
            stranger += 1
            gallery.add(rng, stranger, whole(rng, 1, len(CAMERAS)), range(1), label)
    shots = [*trained.shots, *queries.shots, *gallery.shots]
    return Plan(shots, {}, {camera: camera for camera in CAMERAS}, style=GRADED)


def _cameras(rng: Generator) -> list[int]:
    """The cameras that filmed one person, at least two of them."""
    return sorted(shuffled(rng, CAMERAS)[: whole(rng, 2, len(CAMERAS))])


class _Folder:
    """The shots of one folder, with names that are all different."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.shots: list[Shot] = []

    def add(
        self, rng: Generator, pid: int, camera: int, moments: range, label: str = "", by_hand: bool = False
    ) -> None:
        """Shots of a person before a camera; ``label`` stands in the names in place of the id."""
        sequence = whole(rng, *SEQUENCES)
        for moment in moments:
            # Strangers share their label, so their own numbers must tell their names apart.
            frame = pid if label else 25 * moment + whole(rng, 1, 25)
            box = DRAWN_BY_HAND if by_hand else whole(rng, 1, 9)
            name = f"{label or f'{pid:04d}'}_c{camera}s{sequence}_{frame:06d}_{box:02d}.jpg"
            self.shots += triple(self.name, FOLDERS, name, (pid, camera, moment))
