"""MSVR310 (Zheng et al., Information Fusion 2023): 310 vehicles in RGB, near and thermal infrared, eight views.

On disk, with the same names in the three folders of a vehicle::

    {bounding_box_train, query3, bounding_box_test} / 0019 / {vis, ni, th} / 0019_s012_v0_000.jpg

The name gives identity, scene (a span of time, often called so), view and frame. A query does not see its own identity
in its own *scene*, whatever the view: ``camid`` is the scene. Under the usual camera rule 516 of the 591 queries would
have other matches, and the numbers would not compare.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from promptreid.data.dataset import Record
from promptreid.datasets import folders
from promptreid.datasets.pairing import Sample, in_identity_folders, parse_number, parse_stem
from promptreid.datasets.triples import TripleDataset, folders_to_read, record_of
from promptreid.evaluation.protocols import MarketProtocol

FOLDERS = {"visible": "vis", "near_infrared": "ni", "thermal_infrared": "th"}
VIEWS = range(8)
SPLITS = {"train": "bounding_box_train", "query": "query3", "gallery": "bounding_box_test"}

_NAME = re.compile(r"(?P<pid>[0-9]{4})_s(?P<scene>[0-9]{3})_v(?P<view>[0-9]+)_(?P<frame>[0-9]+)")
_FORM = "0019_s012_v0_000.jpg (identity of four digits, scene of three, view, frame)"


class MSVR310(TripleDataset):
    """MSVR310 for torchreid.

    Args:
        root: the folder that holds ``MSVR310``, or that folder itself.
        incomplete: ``"skip"`` or ``"keep"`` samples that lack a modality.
        test_only: leave the training images unread; they need not be there.
        kwargs: torchreid's own.

    Raises:
        FileNotFoundError: the folder or a split is missing.
        ValueError: another layout, a name that does not parse or is in another vehicle's folder, what
            :class:`TripleDataset` refuses.
    """

    family = "msvr310"
    num_cameras = len(VIEWS)
    protocols = (MarketProtocol("msvr310", exclude="scene"),)

    def __init__(self, root: str = "", incomplete: str = "skip", test_only: bool = False, **kwargs: Any) -> None:
        folder = find_folder(root, test_only)
        super().__init__(read(folder, test_only), incomplete, folder=folder, test_only=test_only, **kwargs)


def find_folder(root: str | Path, test_only: bool = False) -> Path:
    """The data set's folder at or below ``root``; ``FileNotFoundError`` when it isn't there."""
    names = ("MSVR310", "msvr310", "dataset_test")  # the last is its authors' own
    wanted, tested = (SPLITS["train"], SPLITS["query"]), (SPLITS["query"], SPLITS["gallery"])
    return folders.find_folder(root, "MSVR310", names, wanted, tested if test_only else ())


def read(folder: Path, test_only: bool = False) -> dict[str, list[Record]]:
    """All samples of every split, or of those that are tested, incomplete ones too, with their names' identities."""
    return {
        split: [_record(sample) for sample in in_identity_folders(folders.child(folder, name), FOLDERS)]
        for split, name in folders_to_read(SPLITS, test_only).items()
    }


def _record(sample: Sample) -> Record:
    found = parse_stem(_NAME, sample, _FORM)
    if int(found["pid"]) != int(sample.owner):
        raise ValueError(f"{sample.place}: identity {found['pid']} in the folder of {sample.owner}; move the file")
    # Views count from 0 on disk.
    labels = {"scene": int(found["scene"]), "view": parse_number("view", found["view"], VIEWS, sample)}
    return record_of(sample, int(found["pid"]), labels["view"], labels, camid=labels["scene"])
