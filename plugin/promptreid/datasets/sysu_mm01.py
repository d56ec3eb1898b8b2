"""SYSU-MM01 (Wu et al., ICCV 2017): six cameras, 491 identities seen in both modalities.

``cam1 cam2 cam4 cam5`` are visible, ``cam3 cam6`` near-infrared; cam2 and cam3 hang in the same room. On disk::

    cam1 .. cam6 / <4-digit id> / <4-digit frame>.jpg
    exp / train_id.txt val_id.txt test_id.txt        one line of comma-separated ids each
    exp / rand_perm_cam.mat                          optional: adds the protocols ``sysu-official``

Train and validation identities are trained together (395 classes). Queries are all infrared images of the 96 test
identities (3803); the gallery *pool* are all their visible images, from which each protocol trial draws.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from promptreid.data.batch import PathBundle
from promptreid.data.dataset import ModalDataset, Record
from promptreid.data.images import list_images
from promptreid.datasets.lists import read_ids
from promptreid.evaluation.protocols import SYSUProtocol, SYSUReleaseProtocol, load_rand_perm_cam

logger = logging.getLogger(__name__)

VISIBLE_CAMERAS = (1, 2, 4, 5)
INFRARED_CAMERAS = (3, 6)
PERMUTATIONS = "rand_perm_cam.mat"
FOLDERS = ("SYSU-MM01", "sysu_mm01", "sysu-mm01", "SYSU_MM01")


class SYSUMM01(ModalDataset):
    """SYSU-MM01 for torchreid.

    Args:
        root: the folder that holds ``SYSU-MM01``, or that folder itself.
        search: ``"all"`` (gallery cameras 1, 2, 4, 5) or ``"indoor"`` (1, 2); the first protocol of the data set.
        shots: 1 or 10 gallery images per identity and camera; likewise.
        kwargs: torchreid's own.

    Raises:
        FileNotFoundError: the folder or an id list is missing.
        ValueError: an id list or permutation file that does not parse, an identity without images of a modality.
    """

    modalities = ("visible", "infrared")
    num_cameras = 6

    def __init__(self, root: str = "", search: str = "all", shots: int = 1, **kwargs: Any) -> None:
        folder = find_folder(root)
        lists = folder / "exp"
        train_ids = sorted(read_ids(lists / "train_id.txt") + read_ids(lists / "val_id.txt"))
        test_ids = sorted(read_ids(lists / "test_id.txt"))
        overlap = set(train_ids) & set(test_ids)
        if overlap:
            raise ValueError(f"{lists}: ids {sorted(overlap)[:5]} are both trained and tested on")
        settings = _settings(search, shots)
        self.protocols = tuple(SYSUProtocol(mode, shots) for mode, shots in settings)
        self.named_protocols = tuple(SYSUReleaseProtocol(mode, shots) for mode, shots in settings)
        self._add_official_protocols(lists / PERMUTATIONS, settings)
        train = scan(folder, train_ids, range(1, 7))
        absent = set(train_ids) - {pid for _, pid, _ in train}
        if absent:
            raise ValueError(
                f"{folder}: no image of identity {min(absent)}, which exp/train_id.txt or val_id.txt names"
            )
        labels = {pid: label for label, pid in enumerate(train_ids)}
        gallery_cameras = VISIBLE_CAMERAS if search == "all" else VISIBLE_CAMERAS[:2]
        super().__init__(
            train=[(path, labels[pid], camid) for path, pid, camid in train],
            query=scan(folder, test_ids, INFRARED_CAMERAS),
            gallery=scan(folder, test_ids, gallery_cameras),
            **kwargs,
        )

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
    base = Path(root).expanduser()
    candidates = [base, *(base / name for name in FOLDERS)]
    for folder in candidates:
        if (folder / "exp").is_dir() or (folder / "cam1").is_dir():
            return folder
    raise FileNotFoundError(
        f"SYSU-MM01 not found at {base} (looked for cam1 .. cam6 and exp there and in {', '.join(FOLDERS)}); "
        "set data.root to the folder that holds it, or render a synthetic one with tools/make_synthetic.py"
    )


def scan(folder: Path, ids: list[int], cameras: Any) -> list[Record]:
    """Records of all images of ``ids`` in ``cameras`` (1-based), by id, then camera, then frame."""
    records: list[Record] = []
    skipped: list[Path] = []
    for pid in ids:
        for camera in cameras:
            cell = folder / f"cam{camera}" / f"{pid:04d}"
            for path in list_images(cell) if cell.is_dir() else ():
                if path.stem.isdigit() and len(path.stem) == 4:
                    modality = "infrared" if camera in INFRARED_CAMERAS else "visible"
                    records.append((PathBundle({modality: str(path)}, camera - 1), pid, camera - 1))
                else:
                    skipped.append(path)
    if skipped:
        logger.warning("%d images left out, their names are not four digits: %s ...", len(skipped), skipped[0])
    return records


def _settings(search: str, shots: int) -> list[tuple[str, int]]:
    """All settings that the gallery pool allows, the chosen one first."""
    if search not in ("all", "indoor") or shots not in (1, 10):
        raise ValueError(f"SYSU-MM01: search {search!r} must be 'all' or 'indoor', shots {shots!r} 1 or 10")
    searches = ("all", "indoor") if search == "all" else ("indoor",)
    return [(search, shots)] + [(s, k) for s in searches for k in (1, 10) if (s, k) != (search, shots)]
