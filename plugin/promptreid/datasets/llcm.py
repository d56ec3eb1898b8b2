"""LLCM (Zhang and Wang, CVPR 2023): low light, nine cameras that film in visible and near-infrared light.

713 identities are trained and 351 tested on. On disk::

    vis / <id> / *_c01_*.jpg          nir / <id> / *_c01_*.jpg         of which the lists name the training images
    test_vis / cam1 .. cam9 / <4-digit id> / *.jpg                     test_nir / likewise (without cam3)
    idx / train_vis.txt train_nir.txt        lines "vis/<id>/<file> <label>"
    idx / test_id.txt                        one line of comma-separated ids

Both modalities share the camera numbers, and the protocol hides from a query the images of its own identity in its own
camera *across* modalities: ``camid`` is the camera's number (0-based), whatever the modality.
"""

from __future__ import annotations

import logging
import re
from functools import partial
from pathlib import Path
from typing import Any

from promptreid.data.batch import PathBundle
from promptreid.data.dataset import ModalDataset, NoRecords, Record
from promptreid.data.images import SUFFIXES
from promptreid.datasets import folders, lists
from promptreid.datasets.completeness import Part, check_complete
from promptreid.datasets.counts import COUNTS
from promptreid.datasets.folders import child, visible
from promptreid.evaluation.protocols import LLCMProtocol
from promptreid.evaluation.protocols.swapped import both_directions

logger = logging.getLogger(__name__)

CAMERAS = range(1, 10)
_FOLDERS = {"visible": "vis", "infrared": "nir"}
_EMPTY = ("test_nir", 3)
"""The one folder that its authors ship empty."""


class LLCM(ModalDataset):
    """LLCM for torchreid. Query and gallery are *all* test images of their modality; each trial draws its gallery.

    Args:
        root: the folder that holds ``LLCM``, or that folder itself.
        direction: ``"infrared-visible"`` (infrared queries; the first columns of the paper's table) or
            ``"visible-infrared"``. Both directions are tested; this one is the headline.
        variant: ``"llcm-paper"`` or ``"llcm-readme-2023"``, see :class:`LLCMProtocol`.
        test_only: leave training images and lists unread; they need not be there.
        kwargs: torchreid's own.

    Raises:
        FileNotFoundError: the folder, a list or an image that a list names is missing.
        ValueError: a name that does not parse, an unknown camera, lists that disagree.
    """

    modalities = ("visible", "infrared")
    num_cameras = len(CAMERAS)
    options = frozenset({"test_only"})

    def __init__(
        self,
        root: str = "",
        direction: str = "infrared-visible",
        variant: str = "llcm-paper",
        test_only: bool = False,
        **kwargs: Any,
    ) -> None:
        self.protocols = both_directions(partial(LLCMProtocol, variant=variant), direction)
        folder = find_folder(root, test_only)
        train = {} if test_only else read_train(folder)
        test = read_test(folder, lists.places_of_persons(train.get("visible", [])))
        query, gallery = direction.split("-")
        counts = COUNTS["llcm"]
        self.incomplete_note = check_complete(
            "LLCM",
            folder,
            [Part(f"{side} train images", len(train[side]), counts["train", side].images) for side in train],
            [Part("queries", len(test[query]), counts["test", query].images),
             Part("gallery images", len(test[gallery]), counts["test", gallery].images)],
            absent_cameras(folder),
            mode=kwargs.get("mode", "train"),
        )  # fmt: skip
        super().__init__(
            train=[_train_record(entry, side) for side, entries in train.items() for entry in entries] or NoRecords(),
            query=test[query],
            gallery=test[gallery],
            **kwargs,
        )


def find_folder(root: str | Path, test_only: bool = False) -> Path:
    """The data set's folder at or below ``root``; ``FileNotFoundError`` when it isn't there."""
    tested = ("idx", "test_vis", "test_nir")
    wanted = (*tested, *_FOLDERS.values())
    return folders.find_folder(root, "LLCM", ("LLCM", "llcm"), wanted, tested if test_only else ())


def read_train(folder: Path) -> dict[str, list[lists.Entry]]:
    """The lists of the training images, by modality."""
    train = {side: lists.read_list(folder, f"train_{name}.txt", name) for side, name in _FOLDERS.items()}
    lists.check_labels(list(train.values()))
    return train


def read_test(folder: Path, trained: dict[int, str]) -> dict[str, list[Record]]:
    """All test images by modality.

    Args:
        folder: the data set's.
        trained: trained persons, and where they are listed.

    Raises:
        ValueError: a test id is trained on too, or has no image.
    """
    path = child(child(folder, "idx"), "test_id.txt")
    ids = sorted(lists.read_ids(path))
    both = [pid for pid in ids if pid in trained]
    if both:
        raise ValueError(f"{path}: identity {both[0]} is trained on too ({trained[both[0]]})")
    places = {side: child(folder, f"test_{name}") for side, name in _FOLDERS.items()}
    records = {side: scan(place, ids, side) for side, place in places.items()}
    absent = set(ids) - {pid for side in records.values() for _, pid, _ in side}
    if absent:
        raise ValueError(
            f"{path}: identity {min(absent)} has no image in test_vis or test_nir ({len(absent)} identities have "
            f"none), looked for cam1 .. cam9/<identity>/<name> with one of {folders.suffixes()}; {_sample_of(places)}; "
            "is the data set complete?"
        )
    return records


def absent_cameras(folder: Path) -> list[str]:
    """Folders of cameras that aren't there, other than the one that isn't published either."""
    sides = [child(folder, f"test_{name}") for name in _FOLDERS.values()]
    return [f"{side.name}/cam{camera}" for side in sides for camera in CAMERAS
            if (side.name.lower(), camera) != _EMPTY and not folders.matches(side, f"cam{camera}")]  # fmt: skip


def _sample_of(places: dict[str, Path]) -> str:
    """What the folders of the test images hold, for a message."""
    return " and ".join(f"{place.name} has {folders.listed(visible(place))}" for place in places.values())


def scan(folder: Path, ids: list[int], modality: str) -> list[Record]:
    """Records of all images of ``ids`` below ``folder``, by id, then camera, then file name.

    Files and folders that are no image of a test identity are left out, counted and logged.

    Raises:
        ValueError: a folder of no camera of LLCM.
    """
    cells, left_out = _cells(folder, set(ids))
    records: list[Record] = []
    for (pid, camera), cell in sorted(cells.items()):
        for path in _children(cell):
            if path.suffix.lower() in SUFFIXES:
                records.append((PathBundle({modality: str(path)}, camera - 1), pid, camera - 1))
            else:
                left_out.append(path)
    if left_out:
        logger.warning("%d files or folders left out, no images of test identities: %s ...", len(left_out), left_out[0])
    return records


def _cells(folder: Path, ids: set[int]) -> tuple[dict[tuple[int, int], Path], list[Path]]:
    """(identity, 1-based camera) -> folder, and whatever is no folder of one of ``ids``."""
    cells: dict[tuple[int, int], Path] = {}
    strangers: list[Path] = []
    for camera_folder in _children(folder):
        if not camera_folder.is_dir():
            strangers.append(camera_folder)
            continue
        camera = _camera("cam", camera_folder.name, str(camera_folder))
        for cell in _children(camera_folder):
            if folders.is_number(cell.name) and int(cell.name) in ids and cell.is_dir():
                other = cells.setdefault((int(cell.name), camera), cell)
                if other is not cell:
                    raise ValueError(f"{other} and {cell} are both of identity {int(cell.name)}: remove one")
            else:
                strangers.append(cell)
    return cells, strangers


def _children(folder: Path) -> list[Path]:
    """What is in a folder, by name, without hidden files."""
    return [folder / name for name in visible(folder)]


def _train_record(entry: lists.Entry, modality: str) -> Record:
    # The camera is a field of the name; a search through the whole path would also find it in the user's folders.
    fields = [field for field in entry.file.name.split("_") if field[:1] in ("c", "C")]
    camera = _camera("c", fields[0] if fields else entry.file.name, f"{entry.place}: {entry.file}") - 1
    return PathBundle({modality: str(entry.file)}, camera), entry.label, camera


def _camera(prefix: str, name: str, place: str) -> int:
    found = re.fullmatch(rf"{prefix}([0-9]+)", name, re.IGNORECASE)
    if not found or int(found[1]) not in CAMERAS:
        raise ValueError(f"{place}: {name!r} is not a camera of LLCM ({prefix}1 .. {prefix}9)")
    return int(found[1])
