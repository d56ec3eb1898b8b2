"""Data sets on disk with the right names and numbers, all of whose images are links to a few tiny files."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image
from sysu_counts import counts

Cells = Mapping[tuple[int, int], int]
"""(identity, camera on disk) -> number of images."""

SYSU_TRAIN = {1: 4301, 2: 5253, 3: 6709, 4: 5274, 5: 5456, 6: 3220}
SYSU_VAL = {1: 420, 2: 500, 3: 1200, 4: 537, 5: 517, 6: 780}
"""Images per camera. The totals per modality, and of both per camera, are published; the rest is invented."""


class Linker:
    """Makes image files as hard links, a thousand per original, since file systems bound the links of a file."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self.folder, self.suffix, self.made = folder, suffix, 0
        folder.mkdir(parents=True, exist_ok=True)

    def make(self, path: str) -> None:
        """A new image at ``path``, whose folder exists."""
        original = self.folder / f".original{self.made // 1000}{self.suffix}"
        if self.made % 1000 == 0:
            Image.new("RGB", (2, 4), (self.made // 1000, 99, 0)).save(original)
        os.link(original, path)
        self.made += 1

    def fill(self, cell: Path, names: Iterator[str]) -> None:
        """A folder with these images."""
        cell.mkdir(parents=True, exist_ok=True)
        for name in names:
            self.make(f"{cell}/{name}")


def spread(total: int, parts: int) -> list[int]:
    """``total`` images in ``parts`` shares, as even as possible."""
    return [total // parts + (place < total % parts) for place in range(parts)]


def write_sysu(folder: Path) -> Path:
    """SYSU-MM01: the 96 test identities with their true counts, 395 others with the published totals."""
    test = counts()
    others = [pid for pid in range(1, 534) if pid not in test][:395]
    ids = {"train": others[:296], "val": others[296:], "test": list(test)}
    cells = {(pid, cam): n for pid, row in test.items() for cam, n in enumerate(row, start=1)}
    for split, totals in (("train", SYSU_TRAIN), ("val", SYSU_VAL)):
        for cam, total in totals.items():
            cells |= {(pid, cam): n for pid, n in zip(ids[split], spread(total, len(ids[split])), strict=True)}
    linker = Linker(folder, ".jpg")
    for (pid, cam), n in cells.items():
        if n:
            linker.fill(folder / f"cam{cam}" / f"{pid:04d}", (f"{frame:04d}.jpg" for frame in range(1, n + 1)))
    (folder / "exp").mkdir()
    for split, numbers in ids.items():
        (folder / "exp" / f"{split}_id.txt").write_text(",".join(map(str, numbers)) + "\n")
    return folder


def write_regdb(folder: Path, persons: int = 412, images: int = 10, splits: int = 10) -> Path:
    """RegDB, and ``splits`` random halves of its persons."""
    linker = Linker(folder, ".bmp")
    for side in ("Visible", "Thermal"):
        for person in range(1, persons + 1):
            linker.fill(folder / side / str(person), (name_regdb(side, person, n) for n in range(1, images + 1)))
    (folder / "idx").mkdir()
    for split in range(1, splits + 1):
        order = random.Random(split).sample(range(1, persons + 1), persons)
        for half, chosen in (("train", order[: persons // 2]), ("test", order[persons // 2 :])):
            for side in ("Visible", "Thermal"):
                lines = [f"{side}/{person}/{name_regdb(side, person, n)} {label}"
                         for label, person in enumerate(chosen) for n in range(1, images + 1)]  # fmt: skip
                (folder / "idx" / f"{half}_{side.lower()}_{split}.txt").write_text("\n".join(lines) + "\n")
    return folder


def name_regdb(side: str, person: int, frame: int) -> str:
    return f"male_front_{side[0].lower()}_{frame:05d}_{person}.bmp"


def write_llcm(folder: Path, train: Mapping[str, Cells], test: Mapping[str, Cells]) -> Path:
    """LLCM; train and test by side, ``"vis"`` and ``"nir"``."""
    linker = Linker(folder, ".jpg")
    (folder / "idx").mkdir()
    for side in ("vis", "nir"):
        lines = []
        label_of = {pid: label for label, pid in enumerate(sorted({pid for pid, _ in train[side]}))}
        for (pid, cam), n in train[side].items():
            names = [name_llcm(side, pid, cam, frame) for frame in range(1, n + 1)]
            linker.fill(folder / side / f"{pid:04d}", iter(names))
            lines += [f"{side}/{pid:04d}/{name} {label_of[pid]}" for name in names]
        (folder / "idx" / f"train_{side}.txt").write_text("\n".join(lines) + "\n")
        for (pid, cam), n in test[side].items():
            if n:
                names = [name_llcm(side, pid, cam, frame) for frame in range(1, n + 1)]
                linker.fill(folder / f"test_{side}" / f"cam{cam}" / f"{pid:04d}", iter(names))
    ids = sorted({pid for cells in test.values() for pid, _ in cells})
    (folder / "idx" / "test_id.txt").write_text(",".join(map(str, ids)) + "\n")
    return folder


def name_llcm(side: str, pid: int, cam: int, frame: int) -> str:
    return f"{pid:04d}_c{cam:02d}_s000001_f{frame:04d}_{side}.jpg"


def write_whole_llcm(folder: Path) -> Path:
    """LLCM with the published totals, spread evenly over its identities and cameras."""
    cameras = {"vis": range(1, 10), "nir": (1, 2, 4, 5, 6, 7, 8, 9)}
    totals = {"vis": (16946, 8680), "nir": (13975, 7166)}
    sides: dict[str, list[Cells]] = {"vis": [], "nir": []}
    for side, numbers in totals.items():
        for total, pids in zip(numbers, (range(1, 714), range(714, 1065)), strict=True):
            cells = [(pid, cam) for pid in pids for cam in cameras[side]]
            sides[side].append(dict(zip(cells, spread(total, len(cells)), strict=True)))
    return write_llcm(folder, *({side: both[part] for side, both in sides.items()} for part in (0, 1)))
