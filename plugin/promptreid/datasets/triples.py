"""Data sets whose samples show one moment in several modalities: visible, near and thermal infrared."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promptreid.config.own_keys import INCOMPLETE
from promptreid.data.batch import PathBundle
from promptreid.data.dataset import ModalDataset, NoRecords, Record
from promptreid.datasets.completeness import Part, check_complete
from promptreid.datasets.counts import COUNTS
from promptreid.datasets.pairing import Sample

logger = logging.getLogger(__name__)

MODALITIES = ("visible", "near_infrared", "thermal_infrared")
TRAIN = "train samples"
_WORDS = {"train": TRAIN, "query": "queries", "gallery": "gallery samples"}
_SHOWN = 10  # identities in a message

Splits = Mapping[str, Sequence[Record]]
"""``"train"``, ``"query"`` and ``"gallery"``, with the identities of the file names."""
Lacking = dict[str, list[tuple[str, list[str]]]]
"""Split -> its incomplete samples, each with what it lacks."""


class TripleDataset(ModalDataset):
    """The base of the RGB + NIR + TIR data sets.

    ``camid`` is what a query does not see of its own identity: the camera, or for MSVR310 the scene. So torchreid's
    unmodified evaluator prints the protocol's numbers. The true camera is ``PathBundle.camera``.

    Args:
        splits: all samples on disk, incomplete ones with None for what they lack; for a test, ``"train"`` may be left
            out.
        incomplete: ``"skip"`` samples that lack a modality, or ``"keep"`` them, marked as not present.
        folder: where they are, for messages; without it they aren't compared with what is published.
        test_only: nothing is trained, so the train list is empty and isn't compared either.
        kwargs: torchreid's own.

    Raises:
        ValueError: an unknown ``incomplete``, no complete sample, an identity that is both trained and tested, or no
            query with a match.
    """

    train: list[Record]
    modalities: tuple[str, ...] = MODALITIES
    images_per_sample = 3
    options = frozenset({"incomplete", "test_only"})
    """Arguments that a configuration may set, as ``data.<argument>``."""
    family = ""
    """Key of the published counts; without, nothing is published."""
    publishes_overlap = False
    """Identities that are both trained and tested are the published state: a warning instead of an error."""

    def __init__(
        self,
        splits: Splits,
        incomplete: str = "skip",
        folder: Path | None = None,
        test_only: bool = False,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        chosen, lacking = usable_samples({"train": [], **splits}, incomplete, name)
        shared = self._shared_identities(chosen, name)
        alone = _without_match(chosen["query"], chosen["gallery"], name, self.protocols[0].exclude)
        if kwargs.get("mode", "train") == "train":  # torchreid builds every data set three times
            log_incomplete(lacking, incomplete, name)
            if shared:
                logger.warning("%s: identities %s are both trained and tested on, as published", name, shared)
            if alone:
                logger.info("%s: %d of %d queries have no match from another %s and don't count", name, alone,
                            len(chosen["query"]), self.protocols[0].exclude)  # fmt: skip
        if folder is not None:
            parts = self._parts(chosen, "complete" if incomplete == "skip" else "all")
            train = [part for part in parts if part.what == TRAIN and not test_only]
            test = [part for part in parts if part.what != TRAIN]
            mode = kwargs.get("mode", "train")
            self.incomplete_note = check_complete(name, folder, train, test, mode=mode)
        super().__init__(
            train=NoRecords() if test_only else relabelled(chosen["train"]),
            query=list(chosen["query"]),
            gallery=list(chosen["gallery"]),
            **kwargs,
        )

    def combine_all(self) -> None:
        """As torchreid's, with an image that is both query and gallery taken once."""
        super().combine_all()
        once: dict[tuple[int, str], Record] = {}
        for record in self.train:
            once.setdefault((record[1], Path(record[0]).name), record)
        self.train = list(once.values())

    def _parts(self, splits: Splits, group: str) -> list[Part]:
        """What is to be compared with the published counts, of samples that are complete or of all (``group``)."""
        return [part for split, records in splits.items() for part in
                self._part(_WORDS[split], split, len(records), group)]  # fmt: skip

    def _part(self, what: str, split: str, found: int, group: str = "complete") -> list[Part]:
        counts = COUNTS.get(self.family, {})
        published = counts.get((split, group)) or counts.get((split, "all"))
        return [Part(what, found, published.images)] if published else []

    def _shared_identities(self, splits: Splits, name: str) -> list[int]:
        both = shared_identities(splits["train"], [*splits["query"], *splits["gallery"]])
        if both and not self.publishes_overlap:
            raise ValueError(f"{name}: identities {both[:_SHOWN]} are both trained and tested on; a test of them would "
                             "be far too good: take them out of one of the two")  # fmt: skip
        return both


def folders_to_read(names: Mapping[str, str], test_only: bool) -> dict[str, str]:
    """Those of the folders' ``names``, by split, that are needed: for a test, not the training's."""
    return {split: name for split, name in names.items() if split != "train" or not test_only}


def record_of(
    sample: Sample, pid: int, camera: int, labels: Mapping[str, int] | None = None, camid: int | None = None
) -> Record:
    """A sample as torchreid's record; ``camid`` is the camera unless given."""
    return PathBundle(sample.paths, camera, labels), pid, camera if camid is None else camid


def usable_samples(splits: Splits, incomplete: str, name: str) -> tuple[dict[str, list[Record]], Lacking]:
    """The samples to keep of each split, and the incomplete ones.

    Args:
        splits: all samples.
        incomplete: ``"skip"`` or ``"keep"`` samples that lack a modality.
        name: of the data set, for messages.

    Raises:
        ValueError: an unknown ``incomplete``, or no complete sample in a split that has some.
    """
    if incomplete not in INCOMPLETE:
        raise ValueError(f"data.incomplete: {incomplete!r} is neither 'skip' nor 'keep'")
    lacking = {split: _lacking(records) for split, records in splits.items()}
    kept = {split: list(found) if incomplete == "keep" else complete(found) for split, found in splits.items()}
    for split, records in kept.items():
        if splits[split] and not records:
            raise ValueError(
                f"{name}: all {len(splits[split])} samples of {split} are incomplete ({_counts(lacking[split])}); "
                "add the files, or set data.incomplete to keep"
            )
    return kept, lacking


def log_incomplete(lacking: Lacking, incomplete: str, name: str) -> None:
    """Warn of incomplete samples, split by split."""
    for split, missing in lacking.items():
        if missing:
            logger.warning("%s %s: %d samples are incomplete (%s), %s: %s ...", name, split, len(missing),
                           _counts(missing), "kept" if incomplete == "keep" else "left out",
                           missing[0][0])  # fmt: skip


def complete(records: Sequence[Record]) -> list[Record]:
    """The records that lack no modality."""
    return [record for record in records if None not in record[0].paths.values()]


def relabelled(records: Sequence[Record]) -> list[Record]:
    """The records with the classes 0..N-1 for their identities, in the order of the identities."""
    classes = {pid: label for label, pid in enumerate(sorted({record[1] for record in records}))}
    return [(record[0], classes[record[1]], *record[2:]) for record in records]


def missing_modalities(path: PathBundle) -> list[str]:
    """The modalities that a sample lacks."""
    return [name for name, file in path.paths.items() if file is None]


def shared_identities(train: Sequence[Record], test: Sequence[Record]) -> list[int]:
    """Identities that occur in both, sorted."""
    return sorted({record[1] for record in train} & {record[1] for record in test})


def _lacking(records: Sequence[Record]) -> list[tuple[str, list[str]]]:
    """The incomplete ones of records, each with what it lacks."""
    return [(str(path), missing) for path, *_ in records if (missing := missing_modalities(path))]


def _counts(lacking: list[tuple[str, list[str]]]) -> str:
    counts = Counter(name for _, names in lacking for name in names)
    return ", ".join(f"{count} without {name}" for name, count in sorted(counts.items()))


def _without_match(query: Sequence[Record], gallery: Sequence[Record], name: str, exclude: str) -> int:
    """How many queries have none; ``ValueError`` when that are all."""
    places: dict[int, set[int]] = defaultdict(set)
    for _, pid, camid in gallery:
        places[pid].add(camid)
    alone = sum(not places[record[1]] - {record[2]} for record in query)
    if query and alone == len(query):
        raise ValueError(
            f"{name}: none of the {len(query)} queries has a match: no gallery sample of its identity is from another "
            f"{exclude} (first query: {query[0][0]}); are query and gallery of one data set?"
        )
    return alone
