"""RGB + NIR + TIR data sets on disk: whole ones of empty files with the published numbers, and small ones."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from fake_trees import spread
from PIL import Image

PARALLEL = ("RGB", "NI", "TI")
NESTED = ("vis", "ni", "th")

RGBNT201_TEST = [
    (7, 10), (7, 16), (8, 13), (9, 14), (9, 20), (9, 21), (10, 14), (10, 20), (11, 11), (11, 17), (11, 19), (11, 19),
    (12, 15), (12, 16), (12, 17), (12, 17), (12, 18), (12, 18), (12, 18), (12, 18), (12, 18), (13, 13), (13, 17),
    (14, 16), (15, 15), (17, 13), (17, 13), (17, 13), (19, 11), (19, 11),
]  # fmt: skip
"""Samples per identity in cameras 1 and 2. Totals, extremes and mean number of positives are the real ones."""

MSVR310_QUERY = [
    (1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 2, 6), (1, 2), (1, 3), (1, 6, 2),
    (2, 1), (2, 1), (2, 1), (2, 1, 4), (2, 3), (3, 1), (3, 1), (3, 1), (3, 1, 2), (3, 3), (3, 4, 1), (3, 4, 2),
    (3, 5, 3), (3, 9, 6), (4, 1), (4, 2), (4, 5, 5), (4, 8, 7, 6), (5, 3), (5, 3), (5, 3, 1), (5, 3, 6, 8), (5, 7, 1),
    (5, 8, 10, 8), (6, 4), (6, 5, 3), (6, 9, 3), (7, 1, 5), (7, 2, 4, 6), (7, 5), (7, 9), (7, 10, 7), (8, 2, 3, 6),
    (8, 8, 6), (8, 8, 7), (8, 9, 5), (8, 11, 3), (9, 2, 6, 6), (11, 8, 6), (31, 2),
]  # fmt: skip
"""Samples per scene of the identities that several scenes show; likewise."""

RGBNT100_CAMERAS = [8] * 20 + [7] * 15 + [6] * 5 + [5] * 9 + [3]
"""Cameras per test identity, of 25 samples each: 75 to 200 samples, 50 to 175 positives."""

WMVEID863_SHARED = (325, 331, 397, 406, 451, 471, 862)

Picture = Callable[[Path, int], None]
"""Writes an image file; the number tells the files apart."""


def touch(folder: Path, names: Iterable[str]) -> None:
    """Empty files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        os.close(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY))


def write_parallel(folder: Path, folders: Sequence[str], stems: Iterable[str]) -> None:
    """Empty files in the first of ``folders``; the others are links to it, so that all have the same names."""
    touch(folder / folders[0], (f"{stem}.jpg" for stem in stems))
    for other in folders[1:]:
        (folder / other).symlink_to(folders[0])


def write_whole_rgbnt201(folder: Path) -> Path:
    cells: dict[tuple[int, int], int] = {}
    singles = {1: [8, 35, *spread(2592 - 510 - 43, 83)], 2: spread(1142 - 612, 24), 3: spread(88, 5), 4: spread(129, 6)}
    for pid in range(1, 52):  # 51 identities of two cameras
        cells |= {(pid, 1): 10, (pid, 2): 12}
    sizes = [(camera, size) for camera, found in singles.items() for size in found]
    cells |= {(pid, camera): size for pid, (camera, size) in enumerate(sizes, start=52)}
    test = {(200 + pid, camera): n for pid, row in enumerate(RGBNT201_TEST, 1) for camera, n in enumerate(row, 1)}
    for split, numbers in (("train_171", cells), ("test", test)):
        write_parallel(folder / split, PARALLEL, names_rgbnt201(numbers))
    return folder


def names_rgbnt201(cells: Mapping[tuple[int, int], int]) -> list[str]:
    """(identity, camera) -> number of samples."""
    return [
        f"{pid:06d}_cam{camera}_{frame % 2}_{frame:02d}" for (pid, camera), n in cells.items() for frame in range(n)
    ]


def write_whole_rgbnt100(folder: Path) -> Path:
    train = names_rgbnt100({501 + 2 * k: cams for k, cams in enumerate(spread(8675 // 25, 50))}, 25)
    test = {502 + 2 * k: cams for k, cams in enumerate(RGBNT100_CAMERAS)}
    touch(folder / "rgbir" / "bounding_box_train", train)
    touch(folder / "rgbir" / "bounding_box_test", names_rgbnt100(test, 25))
    touch(folder / "rgbir" / "query", names_rgbnt100(test, 25, step=5))
    return folder


def names_rgbnt100(cameras: Mapping[int, int], frames: int, step: int = 1) -> list[str]:
    """Identity -> number of cameras, each with this many frames of which every ``step``-th is named."""
    return [
        f"{pid:04d}_c{camera:04d}_{frame:03d}.jpg"
        for pid, count in cameras.items()
        for camera in range(1, count + 1)
        for frame in range(0, frames, step)
    ]


def write_whole_msvr310(folder: Path) -> Path:
    train = {pid: (n,) for pid, n in enumerate(spread(1032, 155), start=1)}
    query = dict(enumerate(MSVR310_QUERY, start=201))
    rest = {pid: (n,) for pid, n in enumerate(spread(464, 103), start=301)}
    for split, rows in (("bounding_box_train", train), ("query3", query), ("bounding_box_test", {**query, **rest})):
        for pid, row in rows.items():
            write_parallel(folder / split / f"{pid:04d}", NESTED, names_msvr310(pid, row))
    return folder


def names_msvr310(pid: int, scenes: Sequence[int]) -> list[str]:
    """Samples per scene; of the thirty scenes, each identity has its own few."""
    return [
        f"{pid:04d}_s{(pid + 7 * place) % 30:03d}_v{frame % 8}_{frame:03d}"
        for place, n in enumerate(scenes)
        for frame in range(n)
    ]


def write_whole_wmveid863(folder: Path) -> Path:
    """With the published flaws: incomplete samples, a malformed name in vehicle 0865, seven vehicles in both splits."""
    others = [pid for pid in range(1, 869) if pid not in WMVEID863_SHARED]
    train, test = [*WMVEID863_SHARED, *others[:596]], [*WMVEID863_SHARED, *others[596:]]
    for pid, n in zip(train, spread(3483, 603), strict=True):
        write_parallel(folder / "train" / f"{pid:04d}", NESTED, names_wmveid863(n, 3))
    for place, (pid, n) in enumerate(zip(test, spread(1232, 272), strict=True)):
        names = names_wmveid863(n, 1 if place >= 151 else 2)
        write_parallel(folder / "test" / f"{pid:04d}", NESTED, names)
        write_parallel(folder / "query" / f"{pid:04d}", NESTED, names[:1])
    name = "v1_n1_s999_001.jpg"
    for pid, split, lacking in (
        (1, "train", ("ni", "th")), (2, "train", ("vis", "ni")), (406, "test", ("vis", "th")), (325, "test", ("vis",)),
        (331, "test", ("vis",)), (397, "test", ("vis",)),
    ):  # fmt: skip
        for side in lacking:
            unlink(folder / split / f"{pid:04d}", side, name)
    touch(folder / "test" / "0865" / "vis", ["v1_n0_s999_00 4.jpg"])
    return folder


def unlink(folder: Path, side: str, name: str) -> None:
    """Take one image from a folder that may be a link to another one."""
    for link in [path for path in folder.iterdir() if path.is_symlink()]:
        names = os.listdir(link)
        link.unlink()
        touch(link, names)
    (folder / side / name).unlink()


def names_wmveid863(n: int, views: int) -> list[str]:
    return [f"v{frame % views}_n{frame % 2}_s999_{frame:03d}" for frame in range(n)]


def write_whole_market_mm(folder: Path) -> Path:
    for split, pids, total in (
        ("train", range(2, 753), 12936), ("query", range(1001, 1751), 3368), ("gallery", range(1001, 1751), 13115)
    ):  # fmt: skip
        stems = [
            f"{pid:04d}_c{1 + frame % 6}s1_{len(pids) + 10 * frame:06d}_{split == 'gallery':02d}"
            for pid, n in zip(pids, spread(total, len(pids)), strict=True)
            for frame in range(n)
        ]
        if split == "gallery":
            stems += [f"0000_c{1 + n % 6}s1_{n:06d}_01" for n in range(2798)]
            stems += [f"-1_c{1 + n % 6}s1_{n:06d}_01" for n in range(100)]
        write_parallel(folder / split, PARALLEL, stems)
    return folder


def _small_rgbnt201() -> dict[str, list[str]]:
    train = {(pid, cam): 2 for pid in range(1, 5) for cam in (1, 2)} | {(5, 3): 2, (6, 4): 2}
    test = names_rgbnt201({(pid, cam): 6 for pid in range(11, 16) for cam in (1, 2)})
    return {"train_171": names_rgbnt201(train), "test": test}


def _small_rgbnt100() -> dict[str, list[str]]:
    train, test = {501: 2, 503: 2}, dict.fromkeys(range(502, 512, 2), 3)
    splits = {"bounding_box_train": (train, 2, 1), "query": (test, 4, 4), "bounding_box_test": (test, 4, 1)}
    return {f"rgbir/{split}": [name[:-4] for name in names_rgbnt100(*rest)] for split, rest in splits.items()}


def _small_msvr310() -> dict[str, list[str]]:
    query = [name for pid in range(11, 16) for name in names_msvr310(pid, (4, 4, 4))]
    return {
        "bounding_box_train": [name for pid in (1, 2) for name in names_msvr310(pid, (2, 2))],
        "query3": query,
        "bounding_box_test": query + [name for pid in (16, 17) for name in names_msvr310(pid, (3,))],
    }


def _small_wmveid863() -> dict[str, list[str]]:
    test = [f"{pid:04d}/{name}" for pid in range(11, 16) for name in names_wmveid863(12, 3)]
    train = [f"{pid:04d}/{name}" for pid in (1, 2) for name in names_wmveid863(4, 2)]
    return {"train": train, "query": test[::6], "test": test}


def _small_market_mm() -> dict[str, list[str]]:
    def names(pids: Iterable[int], cameras: int, frames: int, box: int) -> list[str]:
        return [f"{pid:04d}_c{c}s1_{100 * pid + f:06d}_{box:02d}" for pid in pids for c in range(1, cameras + 1)
                for f in range(frames)]  # fmt: skip

    gallery = [*names(range(11, 16), 3, 4, 1), *names([0], 2, 2, 1), "-1_c1s1_000001_01"]
    return {"train": names((2, 7), 2, 2, 1), "query": names(range(11, 16), 3, 1, 0), "gallery": gallery}


SMALL: dict[str, tuple[str, Callable[[], dict[str, list[str]]], Sequence[str]]] = {
    "rgbnt201": ("RGBNT201", _small_rgbnt201, PARALLEL),
    "rgbnt100": ("RGBNT100", _small_rgbnt100, ()),
    "rgbn300": ("RGBN300", _small_rgbnt100, ()),
    "msvr310": ("MSVR310", _small_msvr310, NESTED),
    "wmveid863": ("WMVEID863", _small_wmveid863, NESTED),
    "market_mm": ("Market1501-MM", _small_market_mm, PARALLEL),
}
"""Data set -> folder, names per split, folders of the modalities. Galleries have about 60 samples, for torchreid's
evaluator needs fifty after filtering."""


def write_small(name: str, root: Path, picture: Picture = lambda path, seed: path.touch()) -> Path:
    """A small tree of a data set; of empty files unless ``picture`` draws something."""
    folder, splits, modalities = SMALL[name]
    seed = 0
    for split, stems in splits().items():
        for stem in stems:
            owner, _, last = stem.rpartition("/")
            if modalities is NESTED:
                owner = owner or last[:4]
            for side in modalities or ("",):
                path = root / folder / split / owner / side / f"{last}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture(path, seed)
                seed += 1
    return root / folder


def patches(size: tuple[int, int]) -> Picture:
    """Draws images of this size (height, width) from a few coloured patches, alike for one first field of the name."""

    def draw(path: Path, seed: int) -> None:
        common, own = (np.random.default_rng(n).uniform(0, 255, (2, 6, 3))
                       for n in (zlib.crc32(path.name.split("_")[0].encode()), seed))  # fmt: skip
        pixels = (0.6 * common + 0.4 * own).astype(np.uint8)
        Image.fromarray(pixels).resize(size[::-1], Image.Resampling.NEAREST).save(path)

    return draw
