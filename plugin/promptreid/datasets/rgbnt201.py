"""RGBNT201 (Zheng et al., AAAI 2021): 201 persons in RGB, near and thermal infrared, four cameras.

On disk, with the same names in the three folders::

    train_171 / {RGB, NI, TI} / 000287_cam1_0_05.jpg        test / {RGB, NI, TI} / likewise

The name gives identity, camera, a flag of the sequence ("time") and the frame. All 836 test samples are queries and
gallery at once; what a query does not see, its own identity in its own camera, includes itself.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from promptreid.data.dataset import Record
from promptreid.datasets import folders
from promptreid.datasets.completeness import Part
from promptreid.datasets.pairing import Sample, in_modality_folders, parse_number, parse_stem
from promptreid.datasets.triples import TRAIN, Splits, TripleDataset, complete, record_of
from promptreid.evaluation.protocols import MarketProtocol

FOLDERS = {"visible": "RGB", "near_infrared": "NI", "thermal_infrared": "TI"}
SPLITS = {"train": "train_171", "test": "test"}
CAMERAS = range(1, 5)
ALL, DEV = "rgbnt201 all", "rgbnt201 dev"
DEV_SHARE = (30, 51)
"""Of the training identities that two cameras see, so many are validated on: 30 of the 51 there are."""

_NAME = re.compile(r"(?P<pid>[0-9]{6})_cam(?P<camera>[0-9]+)_(?P<time>[0-9]+)_(?P<frame>[0-9]+)")
_FORM = "000287_cam1_0_05.jpg (identity of six digits, camera, sequence, frame)"


class RGBNT201(TripleDataset):
    """RGBNT201 for torchreid.

    Args:
        root: the folder that holds ``RGBNT201``, or that folder itself.
        dev: validate on a part of the training identities (:func:`split_for_development`) instead of testing.
        incomplete: ``"skip"`` or ``"keep"`` samples that lack a modality.
        test_only: leave unread what is not tested; it need not be there. With ``dev`` that is ``test``, since the split
            comes from all of ``train_171``.
        kwargs: torchreid's own.

    Raises:
        FileNotFoundError: the folder or a split is missing.
        ValueError: another layout, a name that does not parse, what :class:`TripleDataset` refuses.
    """

    family = "rgbnt201"
    num_cameras = len(CAMERAS)

    def __init__(
        self, root: str = "", dev: bool = False, incomplete: str = "skip", test_only: bool = False, **kwargs: Any
    ) -> None:
        folder = find_folder(root, test_only and not dev)
        # Nothing of the test set is tested by the development split.
        found = read(folder, (("train",) if dev else ("test",)) if test_only else tuple(SPLITS))
        self.split = DEV if dev else ALL
        self.protocols = (MarketProtocol("rgbnt201-dev" if dev else "rgbnt201"),)
        if dev:
            usable = found["train"] if incomplete == "keep" else complete(found["train"])
            chosen = set(split_for_development(usable))
            validated = [record for record in found["train"] if record[1] in chosen]
            fitted = [record for record in found["train"] if record[1] not in chosen]
            splits = {"train": fitted, "query": validated, "gallery": validated}
        else:
            splits = {"train": found.get("train", []), "query": found["test"], "gallery": found["test"]}
        super().__init__(splits, incomplete, folder=folder, test_only=test_only, **kwargs)

    def _parts(self, splits: Splits, group: str) -> list[Part]:
        if self.split == DEV:
            return self._part("samples of train_171", "train", len(splits["train"]) + len(splits["query"]))
        parts = self._part("test samples", "test", len(splits["query"]))
        return [*self._part(TRAIN, "train", len(splits["train"])), *parts]

    def shares_identities_with(self, split: str) -> bool:
        """Whether a model trained on ``split`` has seen identities that are tested here.

        One that was trained on everything has seen the validated ones. The test's are in no split for training.
        """
        return (self.split, split) == (DEV, ALL)


def find_folder(root: str | Path, test_only: bool = False) -> Path:
    """The data set's folder at or below ``root``; ``FileNotFoundError`` when it isn't there."""
    tested = (SPLITS["test"],) if test_only else ()
    return folders.find_folder(root, "RGBNT201", ("RGBNT201", "rgbnt201"), (SPLITS["train"],), tested)


def read(folder: Path, splits: Sequence[str] = ("train", "test")) -> dict[str, list[Record]]:
    """All samples of ``train`` and ``test``, incomplete ones too, with the identities of their names."""
    return {
        split: [_record(sample) for sample in in_modality_folders(folders.child(folder, SPLITS[split]), FOLDERS)]
        for split in splits
    }


def split_for_development(records: Sequence[Record]) -> list[int]:
    """The training identities to validate on, evenly spread over the sorted ones that two cameras see.

    Of a single camera's identity no query would have a match. The share is that of 30 in 51, and at least two.

    Raises:
        ValueError: fewer than two such identities, or none would be left to train on.
    """
    cameras: dict[int, set[int]] = defaultdict(set)
    for path, pid, _ in records:
        cameras[pid].add(path.camera)
    pairs = sorted(pid for pid, seen in cameras.items() if len(seen) > 1)
    count = max(2, len(pairs) * DEV_SHARE[0] // DEV_SHARE[1])
    if len(pairs) < 2 or len(cameras) <= count:
        raise ValueError(
            f"rgbnt201_dev: {len(pairs)} of the {len(cameras)} training identities are seen by two cameras; it takes "
            "two to validate on and one more to train on"
        )
    return [pairs[place * len(pairs) // count] for place in range(count)]


def _record(sample: Sample) -> Record:
    found = parse_stem(_NAME, sample, _FORM)
    camera = parse_number("camera", found["camera"], CAMERAS, sample) - 1
    return record_of(sample, int(found["pid"]), camera, {"time": int(found["time"])})
