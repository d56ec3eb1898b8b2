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
from promptreid.data.dataset import ModalDataset, Record
from promptreid.datasets import lists
from promptreid.evaluation.protocols import LLCMProtocol
from promptreid.evaluation.protocols.swapped import both_directions

logger = logging.getLogger(__name__)

CAMERAS = range(1, 10)
_FOLDERS = {"visible": "vis", "infrared": "nir"}


class LLCM(ModalDataset):
    """LLCM for torchreid. Query and gallery are *all* test images of their modality; each trial draws its gallery.

    Args:
        root: the folder that holds ``LLCM``, or that folder itself.
        direction: ``"infrared-visible"`` (infrared queries; the first columns of the paper's table) or
            ``"visible-infrared"``. Both directions are tested; this one is the headline.
        variant: ``"llcm-paper"`` or ``"llcm-readme-2023"``, see :class:`LLCMProtocol`.
        kwargs: torchreid's own.

    Raises:
        FileNotFoundError: the folder, a list or an image that a list names is missing.
        ValueError: a name that does not parse, an unknown camera, lists that disagree.
    """

    modalities = ("visible", "infrared")
    num_cameras = len(CAMERAS)

    def __init__(
        self, root: str = "", direction: str = "infrared-visible", variant: str = "llcm-paper", **kwargs: Any
    ) -> None:
        self.protocols = both_directions(partial(LLCMProtocol, variant=variant), direction)
        folder = find_folder(root)
        train = {side: lists.read_list(folder, f"train_{name}.txt", name) for side, name in _FOLDERS.items()}
        lists.check_labels(list(train.values()))
        test = read_test(folder, lists.places_of_persons(train["visible"]))
        query, gallery = direction.split("-")
        super().__init__(
            train=[_train_record(entry, side) for side, entries in train.items() for entry in entries],
            query=test[query],
            gallery=test[gallery],
            **kwargs,
        )


def find_folder(root: str | Path) -> Path:
    """The data set's folder at or below ``root``; ``FileNotFoundError`` when it isn't there."""
    return lists.find_folder(root, "LLCM", ("LLCM", "llcm"), ("idx", "vis", "nir", "test_vis", "test_nir"))


def read_test(folder: Path, trained: dict[int, str]) -> dict[str, list[Record]]:
    """All test images by modality.

    Args:
        folder: the data set's.
        trained: trained persons, and where they are listed.

    Raises:
        ValueError: a test id is trained on too, or has no image.
    """
    path = folder / "idx" / "test_id.txt"
    ids = sorted(lists.read_ids(path))
    both = [pid for pid in ids if pid in trained]
    if both:
        raise ValueError(f"{path}: identity {both[0]} is trained on too ({trained[both[0]]})")
    records = {side: scan(folder / f"test_{name}", ids, side) for side, name in _FOLDERS.items()}
    absent = set(ids) - {pid for side in records.values() for _, pid, _ in side}
    if absent:
        raise ValueError(
            f"{path}: identity {min(absent)} has no image in test_vis or test_nir; is the data set complete?"
        )
    return records


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
            if path.suffix.lower() == ".jpg":
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
            if re.fullmatch(r"[0-9]{4}", cell.name) and int(cell.name) in ids and cell.is_dir():
                cells[int(cell.name), camera] = cell
            else:
                strangers.append(cell)
    return cells, strangers


def _children(folder: Path) -> list[Path]:
    """What is in a folder, by name, without hidden files."""
    return sorted(path for path in folder.iterdir() if path.name[0] != ".")


def _train_record(entry: lists.Entry, modality: str) -> Record:
    # The camera is a field of the name; a search through the whole path would also find it in the user's folders.
    fields = [field for field in entry.file.name.split("_") if field[:1] == "c"]
    camera = _camera("c", fields[0] if fields else entry.file.name, f"{entry.place}: {entry.file}") - 1
    return PathBundle({modality: str(entry.file)}, camera), entry.label, camera


def _camera(prefix: str, name: str, place: str) -> int:
    found = re.fullmatch(rf"{prefix}([0-9]+)", name)
    if not found or int(found[1]) not in CAMERAS:
        raise ValueError(f"{place}: {name!r} is not a camera of LLCM ({prefix}1 .. {prefix}9)")
    return int(found[1])
