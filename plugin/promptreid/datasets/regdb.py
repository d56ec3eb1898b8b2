"""RegDB (Nguyen et al., Sensors 2017): 412 persons, ten visible and ten far-infrared images each, one camera pair.

Ten random halves are fixed by lists: a model is trained on the first half of split k and tested on the second, and the
published number is the mean over *ten trainings*. ``split_id`` 0..9 (torchreid's ``data.split_id``) chooses the split
1..10. On disk::

    Visible / <person> / *.bmp       Thermal / <person> / *.bmp
    idx / {train,test}_{visible,thermal}_{1..10}.txt        lines "Visible/<person>/<file>.bmp <label>"
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from promptreid.data.batch import PathBundle
from promptreid.data.dataset import ModalDataset, NoRecords, Record
from promptreid.datasets import folders, lists
from promptreid.datasets.completeness import Part, check_complete
from promptreid.datasets.counts import COUNTS
from promptreid.evaluation.protocols import RegDBProtocol
from promptreid.evaluation.protocols.swapped import both_directions

NUM_SPLITS = 10
_FOLDERS = {"visible": "Visible", "infrared": "Thermal"}

Half = dict[str, list[lists.Entry]]
"""The training or the test half of a split, by modality."""


class RegDB(ModalDataset):
    """RegDB for torchreid. Labels and, in the test half, identities are those of the lists (0..205).

    The cameras are 0 (visible) and 1 (infrared), so that torchreid's own evaluator excludes nothing, as it should.

    Args:
        root: the folder that holds ``RegDB``, or that folder itself.
        direction: ``"visible-infrared"`` (visible queries) or ``"infrared-visible"``. Both directions are tested; this
            one is the headline, and the one that torchreid's own engine tests.
        split_id: 0..9, the split less one.
        test_only: leave training images and lists unread; they need not be there.
        kwargs: torchreid's own.

    Raises:
        FileNotFoundError: the folder, a list or an image that a list names is missing.
        ValueError: an unknown split or direction, a line that does not parse, lists that disagree.
    """

    modalities = ("visible", "infrared")
    num_cameras = 2
    whole_chunks = True
    options = frozenset({"test_only"})

    def __init__(
        self,
        root: str = "",
        direction: str = "visible-infrared",
        split_id: int = 0,
        test_only: bool = False,
        **kwargs: Any,
    ) -> None:
        if split_id not in range(NUM_SPLITS):
            raise ValueError(
                f"RegDB: data.split_id {split_id!r} must be 0..{NUM_SPLITS - 1}, for split 1..{NUM_SPLITS}"
            )
        self.split = f"regdb split {split_id + 1}"
        self.protocols = both_directions(partial(RegDBProtocol, split=split_id + 1), direction)
        folder = find_folder(root)
        train = {} if test_only else read_half(folder, "train", split_id + 1)
        test = read_half(folder, "test", split_id + 1)
        lists.check_disjoint(train.get("visible", []), test["visible"])
        query, gallery = direction.split("-")
        self.incomplete_note = self._check(folder, train, test, query, gallery, kwargs.get("mode", "train"))
        super().__init__(
            train=[record for modality in train for record in _records(train, modality)] if train else NoRecords(),
            query=_records(test, query),
            gallery=_records(test, gallery),
            **kwargs,
        )

    def _check(self, folder: Path, train: Half, test: Half, query: str, gallery: str, mode: str) -> str:
        def part(what: str, half: str, entries: Half, modality: str) -> Part:
            return Part(what, len(entries[modality]), COUNTS["regdb"][f"{self.split[6:]} {half}", modality].images)

        trained = [part(f"{modality} train images", "train", train, modality) for modality in train]
        tested = [part("queries", "test", test, query), part("gallery images", "test", test, gallery)]
        return check_complete("RegDB", folder, trained, tested, mode=mode)

    def shares_identities_with(self, split: str) -> bool:
        """Whether training on ``split`` has seen identities that are tested here: on any other split of RegDB."""
        return split.startswith("regdb ") and split != self.split


def find_folder(root: str | Path) -> Path:
    """The data set's folder at or below ``root``; ``FileNotFoundError`` when it isn't there."""
    return folders.find_folder(root, "RegDB", ("RegDB", "regdb"), ("idx", *_FOLDERS.values()))


def read_half(folder: Path, half: str, split: int) -> Half:
    """The lists of one half (``"train"`` or ``"test"``) of a split (1..10), by modality."""
    entries = {
        modality: lists.read_list(folder, f"{half}_{name.lower()}_{split}.txt", name)
        for modality, name in _FOLDERS.items()
    }
    lists.check_labels(list(entries.values()))
    return entries


def _records(half: Half, modality: str) -> list[Record]:
    camera = RegDB.modalities.index(modality)
    return [(PathBundle({modality: str(entry.file)}, camera), entry.label, camera) for entry in half[modality]]
