"""CSV files of images for tests: small ones of noise, and ones that describe a real data set's tree."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from promptreid.data.batch import PathBundle
from promptreid.datasets.sysu_mm01 import INFRARED_CAMERAS

TRIPLE = ("visible", "near_infrared", "thermal_infrared")
Rows = list[dict[str, Any]]


def write_csv(file: Path, rows: Iterable[dict[str, Any]], encoding: str = "utf-8") -> Path:
    """The columns are those of the first row."""
    rows = list(rows)
    with file.open("w", newline="", encoding=encoding) as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return file


def write_image(path: Path, number: int, size: tuple[int, int] = (32, 16)) -> None:
    """A BMP or JPEG of noise around a colour of its own, height x width."""
    random = np.random.default_rng(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = random.integers(20, 200, 3) + random.integers(-20, 20, (*size, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def people(folder: Path, modalities: Sequence[str] = ("visible",), images: int = 40) -> Rows:
    """``images`` rows with a ``path``: half of the identities are trained, half tested, four images in two cameras.

    With two modalities each identity has two images of each; the queries are of the last one.
    """
    rows: Rows = []
    for number in range(images):
        pid, place = divmod(number, 4)
        modality = modalities[place % len(modalities)]
        name = f"images/p{pid}-{place}.jpg"
        write_image(folder / name, number)
        tested = pid >= images // 8
        query = modality == modalities[-1] if len(modalities) > 1 else place == 0
        split = ("query" if query else "gallery") if tested else "train"
        rows.append({"path": name, "pid": f"person {pid}", "camid": "AB"[place // 2], "split": split})
        if len(modalities) > 1:
            rows[-1]["modality"] = modality
    return rows


def triples(folder: Path, samples: int = 40, columns: Sequence[str] = TRIPLE) -> Rows:
    """Rows with a column for each modality, otherwise alike; tested samples are query and gallery at once."""
    rows: Rows = []
    for number in range(samples):
        pid, place = divmod(number, 4)
        row: dict[str, Any] = {}
        for offset, column in enumerate(columns):
            row[column] = f"{column}/{pid}-{place}.jpg"
            write_image(folder / row[column], 10 * number + offset)
        rows.append({**row, "pid": pid, "camid": place // 2, "split": "test" if pid >= samples // 8 else "train"})
    return rows


def described(dataset: Any, folder: Path) -> Rows:
    """A table of a data set's records, with the identities of its folders' or files' names where it trains on them."""
    rows: Rows = []
    for split in ("train", "query", "gallery"):
        for path, pid, camid, *_ in getattr(dataset, split):
            rows.append(_described(path, pid, camid, split, folder))
    return rows


def _described(path: PathBundle, pid: int, camid: int, split: str, folder: Path) -> dict[str, Any]:
    images = {name: str(Path(file).relative_to(folder)) if file else "" for name, file in path.paths.items()}
    if len(images) == 1:
        ((modality, file),) = images.items()
        pid = int(Path(file).parent.name)
        images = {"path": file, "modality": modality}
        assert (modality == "infrared") == (camid + 1 in INFRARED_CAMERAS)
    else:
        pid = int(Path(str(path)).stem.split("_")[0])
    return {**images, "pid": pid, "camid": camid, "split": split}
