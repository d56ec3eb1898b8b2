"""A few files in the layout of every data set, to be renamed, moved and taken away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fake_trees import write_llcm, write_regdb
from fake_triples import SMALL, write_small

CELLS = {side: {(pid, cam): 1 for pid in (4, 5) for cam in (1, 9)} for side in ("vis", "nir")}
TRAINED = {side: {(pid, cam): 1 for pid in (1, 2) for cam in (1, 9)} for side in ("vis", "nir")}


def sysu(root: Path) -> Path:
    """Identities 1, 2 (trained) and 3 (tested), one image of each in every camera."""
    folder = root / "SYSU-MM01"
    for camera in range(1, 7):
        for pid in (1, 2, 3):
            place = folder / f"cam{camera}" / f"{pid:04d}"
            place.mkdir(parents=True)
            (place / "0001.jpg").touch()
    (folder / "exp").mkdir()
    for name, ids in (("train", "1"), ("val", "2"), ("test", "3")):
        (folder / "exp" / f"{name}_id.txt").write_text(ids)
    return folder


WRITERS: dict[str, Callable[[Path], Path]] = {
    "sysu_mm01": sysu,
    "regdb": lambda root: write_regdb(root / "RegDB", persons=4, images=2, splits=1),
    "llcm": lambda root: write_llcm(root / "LLCM", TRAINED, CELLS),
    **{name: (lambda root, name=name: write_small(name, root)) for name in SMALL},
}
