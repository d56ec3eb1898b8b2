"""Market1501-MM (Wang et al., AAAI 2022): Market-1501 with synthetic near and thermal infrared.

On disk, with Market-1501's names in the three folders::

    {train, query, gallery} / {RGB, NI, TI} / 0002_c1s1_000451_03.jpg

The visible images are Market's darkened by 60 %, the near-infrared ones its grey versions, the thermal ones the output
of its authors' network. ``tools/make_market_mm.py`` makes the first two from Market-1501. As there, identity -1 (junk)
is dropped and 0 are distractors of the gallery.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from promptreid.data.dataset import Record
from promptreid.datasets import folders
from promptreid.datasets.pairing import Sample, in_modality_folders, parse_number, parse_stem
from promptreid.datasets.rgbnt201 import FOLDERS
from promptreid.datasets.triples import TripleDataset, folders_to_read, record_of
from promptreid.evaluation.protocols import MarketProtocol

CAMERAS = range(1, 7)
JUNK = -1
OPTIONAL = ("thermal_infrared",)
"""Which the maker leaves out where nobody has such images."""
SPLITS = ("train", "query", "gallery")

_NAME = re.compile(r"(?P<pid>-?[0-9]+)_c(?P<camera>[0-9])s(?P<sequence>[0-9]+)_[0-9]+_[0-9]+")
_FORM = "0002_c1s1_000451_03.jpg (identity, camera and sequence, frame, box)"


class MarketMM(TripleDataset):
    """Market1501-MM for torchreid.

    Args:
        root: the folder that holds ``Market1501-MM``, or that folder itself.
        incomplete: ``"skip"`` or ``"keep"`` samples that lack a modality; ``"keep"`` reads a set without ``TI``.
        test_only: leave the training images unread; they need not be there.
        kwargs: torchreid's own.

    Raises:
        FileNotFoundError: the folder or a split is missing.
        ValueError: another layout, a name that does not parse, what :class:`TripleDataset` refuses.
    """

    family = "market_mm"
    num_cameras = len(CAMERAS)
    protocols = (MarketProtocol("market-mm"),)
    _junk_pids = [0, JUNK]

    def __init__(self, root: str = "", incomplete: str = "skip", test_only: bool = False, **kwargs: Any) -> None:
        folder = find_folder(root, test_only)
        super().__init__(read(folder, test_only), incomplete, folder=folder, test_only=test_only, **kwargs)


def find_folder(root: str | Path, test_only: bool = False) -> Path:
    """The data set's folder at or below ``root``; ``FileNotFoundError`` when it isn't there."""
    names = ("Market1501-MM", "Market-1501-RGBNT", "Market-MM", "market1501-mm", "market_mm")
    tested = ("query", "gallery") if test_only else ()
    return folders.find_folder(root, "Market1501-MM", names, ("train", "gallery"), tested)


def read(folder: Path, test_only: bool = False) -> dict[str, list[Record]]:
    """All samples of every split, or of those that are tested, without junk, incomplete ones too, by their names."""
    splits = folders_to_read(dict(zip(SPLITS, SPLITS, strict=True)), test_only)
    samples = {split: in_modality_folders(folders.child(folder, split), FOLDERS, OPTIONAL) for split in splits}
    records = {split: map(_record, found) for split, found in samples.items()}
    return {split: [record for record in found if record[1] != JUNK] for split, found in records.items()}


def parse_name(sample: Sample) -> tuple[int, int]:
    """Identity and 1-based camera of a name of Market-1501; ``ValueError`` for another name."""
    found = parse_stem(_NAME, sample, _FORM)
    return int(found["pid"]), parse_number("camera", found["camera"], CAMERAS, sample)


def _record(sample: Sample) -> Record:
    pid, camera = parse_name(sample)
    return record_of(sample, pid, camera - 1)
