"""A small data set of triples for tests of engines: coloured noise, with two samples incomplete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from promptreid.data.batch import PathBundle
from promptreid.data.dataset import ModalDataset
from promptreid.evaluation import MarketProtocol

MODALITIES = ("visible", "near_infrared", "thermal_infrared")
SIZE = (64, 32)
TRAINED, TESTED = 4, 5
#: of the tested samples, in the order of :func:`records`: number -> modalities that are missing
INCOMPLETE = {3: ("thermal_infrared",), 10: ("visible", "near_infrared")}


def write_triples(root: Path) -> None:
    """Images of each identity in two cameras, two each: a colour of its own in every modality, under coarse noise."""
    random = np.random.default_rng(0)
    for pid in range(TRAINED + TESTED):
        colours = random.uniform(100, 156, (3, 3))
        for name in (f"{pid}_{camera}_{frame}.png" for camera in range(2) for frame in range(2)):
            for modality, colour in zip(MODALITIES, colours, strict=True):
                coarse = colour + random.normal(0, 25, (SIZE[0] // 16, SIZE[1] // 16, 3))
                pixels = np.clip(coarse, 0, 255).astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)
                (root / modality).mkdir(exist_ok=True)
                Image.fromarray(pixels).save(root / modality / name)


def records(root: Path, pids: range, incomplete: dict[int, tuple[str, ...]]) -> list[tuple[PathBundle, int, int]]:
    """Samples by identity, camera and frame; identities are counted from 0."""
    found = []
    for label, pid in enumerate(pids):
        for camera in range(2):
            for frame in range(2):
                gone = incomplete.get(len(found), ())
                paths = {m: None if m in gone else str(root / m / f"{pid}_{camera}_{frame}.png") for m in MODALITIES}
                found.append((PathBundle(paths, camera), label, camera))
    return found


class ToyTriples(ModalDataset):
    """Every tested sample is both a query and in the gallery, as in RGBNT201."""

    modalities = MODALITIES
    images_per_sample = 3
    num_cameras = 2
    protocols = (MarketProtocol("toy-triples"),)

    def __init__(self, root: str = "", **kwargs: Any) -> None:
        train = records(Path(root), range(TRAINED), {})
        test = records(Path(root), range(TRAINED, TRAINED + TESTED), INCOMPLETE)
        super().__init__(train, self.queries(test), test, **kwargs)

    def queries(self, test: list[Any]) -> list[Any]:
        return test


class ToyQueries(ToyTriples):
    """The first camera's samples are the queries, as in RGBNT100."""

    def queries(self, test: list[Any]) -> list[Any]:
        return [record for record in test if record[2] == 0]
