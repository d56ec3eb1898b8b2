"""Market1501-MM from a copy of Market-1501, as far as it can be made.

After Wang et al. (AAAI 2022): near infrared is the grey version of an image, visible the image darkened by 60 %.
Thermal infrared is the output of their CycleGAN, which no rule replaces: it is copied from files of the user's, or left
out.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from promptreid.data.images import SUFFIXES, is_hidden, read_image
from promptreid.datasets.folders import child, find_folder
from promptreid.datasets.market_mm import FOLDERS, JUNK, parse_name
from promptreid.datasets.pairing import Sample, in_strips
from promptreid.files import atomic_folder

BRIGHTNESS = 0.4
QUALITY = 95
"""Of the JPEG files that are written."""

_SPLITS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
_DARKER = [round(BRIGHTNESS * value) for value in range(256)] * 3


@dataclass
class Made:
    """What was written.

    Attributes:
        samples: split -> number of its samples.
        lacking: names of the samples without thermal image.
    """

    samples: dict[str, int]
    lacking: list[str] = field(default_factory=list)


def make_market_mm(
    source: str | Path,
    out: str | Path,
    thermal: str | Path | None = None,
    *,
    workers: int = 1,
    watch: Callable[[Sequence[Sample]], Iterable[Sample]] = iter,
) -> Made:
    """Write ``{train, query, gallery} / {RGB, NI, TI}`` with Market-1501's names, whole or not at all.

    Junk images (identity -1) are left out. Without thermal images there is no folder ``TI``, and the data set
    ``market_mm`` reads the tree with ``incomplete="keep"``.

    Args:
        source: the folder of Market-1501, or the one that holds it.
        out: a new folder.
        thermal: a folder with thermal images, at any depth, under the names of Market-1501.
        workers: threads.
        watch: wraps the samples of each split as they are written, such as a progress bar.

    Raises:
        FileExistsError: ``out`` is there already.
        FileNotFoundError: no Market-1501 at ``source``, or no folder ``thermal``.
        ValueError: a file whose name or content is not as expected, two thermal images of one name, none of a name
            that is needed.
    """
    folder = _find_market(source)
    samples = {split: _samples(child(folder, name)) for split, name in _SPLITS.items()}
    names = [sample.stem for found in samples.values() for sample in found]
    warm = _list_thermal(Path(thermal).expanduser(), names) if thermal is not None else {}
    with atomic_folder(Path(out).expanduser()) as partial, ThreadPoolExecutor(workers) as pool:
        for split, found in samples.items():
            for name in FOLDERS.values() if warm else list(FOLDERS.values())[:2]:
                (partial / split / name).mkdir(parents=True)
            jobs = [pool.submit(_write, sample, partial / split, warm.get(sample.stem)) for sample in found]
            try:
                for _, job in zip(watch(found), jobs, strict=True):
                    job.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)  # before the folder goes
                raise
    counts = {split: len(found) for split, found in samples.items()}
    return Made(counts, [name for name in names if name not in warm])


def darken(image: Image.Image) -> Image.Image:
    """An RGB image with 40 % of its brightness, rounded to the nearest value."""
    return image.point(_DARKER)


def _find_market(source: str | Path) -> Path:
    inner = "Market-1501-v15.09.15"
    names = (inner, f"market1501/{inner}", "market1501", "Market-1501", "Market1501")
    return find_folder(source, "Market-1501", names, tuple(_SPLITS.values()))


def _samples(folder: Path) -> list[Sample]:
    found = in_strips(folder, ("visible",))  # strips of one image
    return [sample for sample in found if parse_name(sample)[0] != JUNK]


def _list_thermal(folder: Path, wanted: list[str]) -> dict[str, Path]:
    """Stem -> file of those images below ``folder`` that are wanted."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of thermal images")
    found: dict[str, Path] = {}
    stems = set(wanted)
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.stem not in stems or _in_hidden(path.relative_to(folder)):
            continue
        if path.stem in found:
            raise ValueError(f"{path} and {found[path.stem]} have one name; a sample has one thermal image: remove one")
        found[path.stem] = path
    if not found:
        raise ValueError(
            f"{folder}: no image has a name of Market-1501, such as {wanted[0]}.jpg; where are the thermal images?"
        )
    return found


def _in_hidden(path: Path) -> bool:
    return any(is_hidden(part) for part in path.parts)


def _write(sample: Sample, split: Path, thermal: Path | None) -> None:
    image = read_image(sample.place)
    darken(image).save(split / FOLDERS["visible"] / f"{sample.stem}.jpg", quality=QUALITY)
    image.convert("L").save(split / FOLDERS["near_infrared"] / f"{sample.stem}.jpg", quality=QUALITY)
    if thermal is not None:
        target = split / FOLDERS["thermal_infrared"] / f"{sample.stem}{thermal.suffix}"
        read_image(str(thermal))  # a broken one is found now
        shutil.copyfile(thermal, target)
