"""SYSU-MM01 (Wu et al., ICCV 2017): six cameras, 491 identities seen in both modalities.

``cam1 cam2 cam4 cam5`` are visible, ``cam3 cam6`` near-infrared; cam2 and cam3 hang in the same room. On disk::

    cam1 .. cam6 / <4-digit id> / <4-digit frame>.jpg
    exp / train_id.txt val_id.txt test_id.txt        one line of comma-separated ids each
    exp / rand_perm_cam.mat                          optional: adds the protocols ``sysu-official``

Where no image of a training identity is there, the arrays of the field's preprocessing scripts are trained on
(:mod:`promptreid.datasets.sysu_arrays`).

Train and validation identities are trained together (395 classes). Queries are all infrared images of the 96 test
identities (3803); the gallery *pool* are all their visible images, from which each protocol trial draws.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from promptreid.data.batch import PathBundle
from promptreid.data.dataset import ModalDataset, NoRecords, Record
from promptreid.data.images import SUFFIXES
from promptreid.datasets import folders, sysu_arrays
from promptreid.datasets.completeness import Part, check_complete
from promptreid.datasets.counts import COUNTS
from promptreid.datasets.folders import child, visible
from promptreid.datasets.lists import read_ids
from promptreid.evaluation.protocols import SYSUProtocol, SYSUReleaseProtocol, load_rand_perm_cam

logger = logging.getLogger(__name__)

VISIBLE_CAMERAS = (1, 2, 4, 5)
INFRARED_CAMERAS = (3, 6)
CAMERAS = range(1, 7)
PERMUTATIONS = "rand_perm_cam.mat"
FOLDERS = ("SYSU-MM01", "sysu_mm01")
_TRAINED, _TESTED = ("train_id.txt", "val_id.txt"), "test_id.txt"


class SYSUMM01(ModalDataset):
    """SYSU-MM01 for torchreid.

    Args:
        root: the folder that holds ``SYSU-MM01``, or that folder itself.
        search: ``"all"`` (gallery cameras 1, 2, 4, 5) or ``"indoor"`` (1, 2); the first protocol of the data set.
        shots: 1 or 10 gallery images per identity and camera; likewise.
        test_only: leave training images and lists unread; they need not be there.
        kwargs: torchreid's own.

    Raises:
        FileNotFoundError: the folder or an id list is missing.
        ValueError: an id list or permutation file that does not parse, an identity without images, or without images of
            a modality in training, two places where the data set could be.
    """

    modalities = ("visible", "infrared")
    num_cameras = 6
    options = frozenset({"test_only"})

    def __init__(
        self, root: str = "", search: str = "all", shots: int = 1, test_only: bool = False, **kwargs: Any
    ) -> None:
        folder = find_folder(root)
        lists = child(folder, "exp")
        trained = () if test_only else _TRAINED
        train_ids = sorted(pid for name in trained for pid in read_ids(child(lists, name)))
        test_ids = sorted(read_ids(child(lists, _TESTED)))
        overlap = set(train_ids) & set(test_ids)
        if overlap:
            raise ValueError(f"{lists}: ids {sorted(overlap)[:5]} are both trained and tested on")
        settings = _settings(search, shots)
        self.protocols = tuple(SYSUProtocol(mode, shots) for mode, shots in settings)
        self.named_protocols = tuple(SYSUReleaseProtocol(mode, shots) for mode, shots in settings)
        self._add_official_protocols(child(lists, PERMUTATIONS), settings)
        mode = kwargs.get("mode", "train")
        train = scan(folder, train_ids, CAMERAS)
        in_arrays = not train and not test_only and sysu_arrays.are_there(folder)
        if in_arrays:
            train = sysu_arrays.scan_arrays(folder, train_ids)
        _check_found(folder, train_ids, train, "exp/train_id.txt or val_id.txt")
        query, pool = scan(folder, test_ids, INFRARED_CAMERAS), scan(folder, test_ids, VISIBLE_CAMERAS)
        if in_arrays and mode == "train":
            sysu_arrays.warn(folder)
        if in_arrays and mode == "train" and not query + pool:
            query, pool = NoRecords(), NoRecords()  # trained here, tested elsewhere
        else:
            _check_found(folder, test_ids, query + pool, "exp/test_id.txt")
        labels = {pid: label for label, pid in enumerate(train_ids)}
        gallery_cameras = VISIBLE_CAMERAS if search == "all" else VISIBLE_CAMERAS[:2]
        gallery = type(pool)(record for record in pool if record[2] + 1 in gallery_cameras)
        found = None if test_only else len(train)
        self.incomplete_note = _check_complete(folder, found, query, gallery, gallery_cameras, mode)
        records = [(path, labels[pid], camid) for path, pid, camid in train]
        super().__init__(train=NoRecords() if test_only else records, query=query, gallery=gallery, **kwargs)
        if in_arrays:
            self.camera_rows = {}  # no row of a model's camera table is trained, so none is looked up in tests

    def _add_official_protocols(self, path: Path, settings: list[tuple[str, int]]) -> None:
        """The galleries of the data set's authors, where their file of permutations is at hand."""
        if path.is_file():
            permutations = load_rand_perm_cam(path)
            official = (SYSUProtocol(mode, shots, "official", permutations=permutations) for mode, shots in settings)
            self.protocols += tuple(official)
        else:
            source = "the official repository wuancong/SYSU-MM01, in evaluation/data_split"
            self.missing_protocols = {"sysu-official": f"it needs {path}, which is not in the archive but in {source}"}


def find_folder(root: str) -> Path:
    """The data set's folder at or below ``root``.

    Raises:
        FileNotFoundError: none of the usual places has it.
    """
    places = folders.candidates(Path(root).expanduser(), FOLDERS)
    arrays = next(filter(None, map(_arrays, places)), "")
    remedy = f". {arrays}" if arrays else ", or render a synthetic one with promptreid render"
    return folders.find(root, "SYSU-MM01", FOLDERS, _lacks, remedy)


def _lacks(folder: Path) -> list[str]:
    """Nothing, where a camera or the list of test identities is."""
    cameras = any(folders.matches(folder, f"cam{camera}") for camera in CAMERAS)
    return [] if cameras or folders.matches(child(folder, "exp"), _TESTED) else ["cam1 .. cam6", "exp"]


def scan(folder: Path, ids: list[int], cameras: Iterable[int]) -> list[Record]:
    """Records of all images of ``ids`` in ``cameras`` (1-based), by id, then camera, then frame.

    Numbers of identities and frames may be padded or not.

    Raises:
        ValueError: two folders of one identity or two images of one frame.
    """
    records: list[Record] = []
    skipped: list[Path] = []
    chosen = {camera: _cells(child(folder, f"cam{camera}")) for camera in cameras}
    for pid in ids:
        for camera, cells in chosen.items():
            modality = "infrared" if camera in INFRARED_CAMERAS else "visible"
            frames, others = _frames(cells[pid]) if pid in cells else ({}, [])
            skipped += others
            for frame in sorted(frames):
                records.append((PathBundle({modality: str(frames[frame])}, camera - 1), pid, camera - 1))
    if skipped:
        logger.warning("%d images left out, their names are not numbers: %s ...", len(skipped), skipped[0])
    return records


def _cells(camera: Path) -> dict[int, Path]:
    """The folders of the identities that a camera has filmed."""
    return folders.numbered(camera / name for name in visible(camera) if not Path(name).suffix)[0]


def _frames(cell: Path) -> tuple[dict[int, Path], list[Path]]:
    return folders.numbered(cell / name for name in visible(cell) if Path(name).suffix.lower() in SUFFIXES)


def _check_found(folder: Path, ids: list[int], records: list[Record], source: str) -> None:
    """Refuse lists of identities of which no image is there."""
    absent = sorted(set(ids) - {pid for _, pid, _ in records})
    if absent:
        others = f" and of {len(absent) - 1} others" if absent[1:] else ""
        raise ValueError(
            f"{folder}: no image of identity {absent[0]}{others}, which {source} names: looked for cam1 .. cam6/"
            f"{absent[0]:04d}/<frame> with one of {folders.suffixes()}, found {_found(folder)}. "
            f"{_arrays(folder) or 'Is the data set complete?'}"
        )


def _found(folder: Path) -> str:
    """What a folder holds in the place of images, down to the first that is of no identity."""
    cameras = [place for camera in CAMERAS for place in folders.matches(folder, f"cam{camera}")]
    if not cameras:
        return folders.listed(visible(folder))
    return ", ".join(f"{place.name} with {folders.listed(visible(place))}" for place in cameras)


def _arrays(folder: Path) -> str:
    """What to say of the arrays that the field's preprocessing scripts write, where they are in place of images."""
    arrays = [name for name in visible(folder) if name.startswith("train_") and name.endswith("resized_img.npy")]
    if not arrays:
        return ""
    return (
        f"{', '.join(arrays)} of a preprocessing script hold training images alone, which is enough to train on where "
        "the two arrays of labels and exp are beside them; tests need the original images: unpack the archive's "
        "cam1 .. cam6 and exp"
    )


def _check_complete(
    folder: Path, train: int | None, query: list[Record], gallery: list[Record], cameras: tuple[int, ...], mode: str
) -> str:
    counts = COUNTS["sysu_mm01"]
    return check_complete(
        "SYSU-MM01",
        folder,
        [] if train is None else [Part("train images", train, counts["train + val", "all"].images)],
        [Part("queries", len(query), counts["query", "all"].images),
         Part("gallery images", len(gallery), sum(counts["gallery", f"cam{camera}"].images for camera in cameras))],
        [f"cam{camera}" for camera in CAMERAS if not folders.matches(folder, f"cam{camera}")],
        mode,
    )  # fmt: skip


def _settings(search: str, shots: int) -> list[tuple[str, int]]:
    """All settings that the gallery pool allows, the chosen one first."""
    if search not in ("all", "indoor") or shots not in (1, 10):
        raise ValueError(f"SYSU-MM01: search {search!r} must be 'all' or 'indoor', shots {shots!r} 1 or 10")
    searches = ("all", "indoor") if search == "all" else ("indoor",)
    return [(search, shots)] + [(s, k) for s in searches for k in (1, 10) if (s, k) != (search, shots)]
