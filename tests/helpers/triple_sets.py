"""Small RGB + NIR + TIR data sets for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from promptreid import host
from promptreid.data.batch import PathBundle
from promptreid.data.dataset import ModalDataset

NAMES = ("visible", "near_infrared", "thermal_infrared")
IDS, FRAMES = 6, 5
SIZES = ((40, 24), (48, 20), (32, 16))


class Triples(ModalDataset):
    """``root/<modality>/<pid>_<frame>.png``; of every third sample one modality may be missing."""

    modalities = NAMES
    images_per_sample = 3
    num_cameras = 2
    options = frozenset({"incomplete"})

    def __init__(self, root: str = "", incomplete: str = "skip", **kwargs: Any) -> None:
        self.incomplete = incomplete
        records = []
        for first in sorted((Path(root) / NAMES[0]).iterdir()):
            pid, frame = map(int, first.stem.split("_"))
            files = {name: str(Path(root) / name / first.name) for name in NAMES}
            if incomplete == "keep" and (pid + frame) % 3 == 0:
                files[NAMES[frame % 3]] = None
            records.append((PathBundle(files, camera=frame % 2), pid, frame % 2))
        super().__init__(records, records, records, **kwargs)


class Pairs(Triples):
    """The same without its last modality, and always complete."""

    modalities = NAMES[:2]
    images_per_sample = 2
    options = frozenset()

    def __init__(self, root: str = "", **kwargs: Any) -> None:
        names = sorted(path.name for path in (Path(root) / NAMES[0]).iterdir())
        bundles = [PathBundle({m: str(Path(root) / m / name) for m in self.modalities}, 0) for name in names]
        records = [(bundle, int(name.split("_")[0]), 0) for bundle, name in zip(bundles, names, strict=True)]
        ModalDataset.__init__(self, records, records, records, **kwargs)


class Plain(host.ImageDataset):
    """An ordinary data set, as torchreid's are, of the visible images."""

    def __init__(self, root: str = "", **kwargs: Any) -> None:
        files = sorted((Path(root) / NAMES[0]).iterdir())
        records = [(str(path), int(path.stem.split("_")[0]), 0) for path in files]
        super().__init__(records, records, records, **kwargs)


def write_triples(root: Path) -> Path:
    """Noise, another size in each modality."""
    rng = np.random.default_rng(0)
    for name, size in zip(NAMES, SIZES, strict=True):
        (root / name).mkdir(parents=True)
        for pid in range(IDS):
            for frame in range(FRAMES):
                pixels = rng.integers(1, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / name / f"{pid}_{frame}.png")
    return root


def register(monkeypatch: pytest.MonkeyPatch, **datasets: Any) -> None:
    """Make data sets ours for the duration of a test."""
    for name, dataset in datasets.items():
        monkeypatch.setitem(host._DATASETS, name, dataset)
        monkeypatch.setitem(host._ours, ("dataset", name), dataset)
