"""A data set of your own: one folder with files called PERSON_CAMERA_BAND_NUMBER.png, such as 0007_2_infrared_3.png.

    python tools/train_net.py --config-file examples/own.yaml plugins '[examples/own_data_set.py]' \
        data.sources '[corridor]' data.targets '[corridor]'

Even numbers are trained on; of the other people, infrared images are the queries and visible ones the gallery.
(If your images are in a CSV file, no code is needed: see the data set `table` in docs/datasets.md.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import promptreid
from promptreid import ModalDataset, PathBundle
from promptreid.evaluation import MarketProtocol


class Corridor(ModalDataset):
    """Reads ``<root>/corridor/*.png``."""

    modalities = ("visible", "infrared")
    num_cameras = 4
    protocols = (MarketProtocol("corridor infrared-visible"),)

    def __init__(self, root: str = "", **kwargs: Any) -> None:
        files = sorted((Path(root) / "corridor").glob("*.png"))
        if not files:
            raise FileNotFoundError(f"{Path(root) / 'corridor'} has no .png file; set data.root to the folder above it")
        train, query, gallery = [], [], []
        trained = sorted({self._person(file) for file in files if self._person(file) % 2 == 0})
        for file in files:
            person, camera, band, _ = file.stem.split("_")
            sample = PathBundle({band: str(file)}, camera=int(camera))
            if int(person) in trained:
                train.append((sample, trained.index(int(person)), int(camera)))
            else:
                (query if band == "infrared" else gallery).append((sample, int(person), int(camera)))
        super().__init__(train, query, gallery, **kwargs)

    @staticmethod
    def _person(file: Path) -> int:
        return int(file.stem.split("_")[0])


promptreid.register_dataset("corridor", Corridor)
