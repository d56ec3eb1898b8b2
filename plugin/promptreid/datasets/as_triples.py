"""Plain RGB data sets of torchreid as triples, to run a multi-modal method on data it was not made for."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

from promptreid import host
from promptreid.data.batch import PathBundle
from promptreid.data.dataset import DatasetFactory, ModalDataset, NoRecords, Record
from promptreid.datasets.triples import MODALITIES, relabelled
from promptreid.evaluation.protocols import MarketProtocol

SUFFIX = "_as_triples"


class AsTriples(ModalDataset):
    """A data set of torchreid's own with every image three times, once for each modality.

    The copies are augmented independently, as the modalities of a real triple are.

    Args:
        host_name: torchreid's name of the data set, such as ``"market1501"``.
        test_only: go without the folder of the training images, where it isn't there; lists of them are still read.
        kwargs: torchreid's own, with those of that data set.

    Raises:
        FileNotFoundError: the data set isn't there; nothing is downloaded.
    """

    modalities = MODALITIES
    images_per_sample = 3
    options = frozenset({"test_only"})

    def __init__(self, host_name: str, test_only: bool = False, **kwargs: Any) -> None:
        with host.no_downloads(), host.train_not_needed() if test_only else nullcontext():
            base = host.host_dataset(host_name)(**{**kwargs, "combineall": False, "verbose": False})
        self.camera_space = f"{host_name} as triples"
        self.protocols = (MarketProtocol(f"{host_name}-as-triples"),)
        self._junk_pids, self._train_only = base._junk_pids, base._train_only
        self.num_cameras = 1 + max(record[2] for record in [*base.train, *base.query, *base.gallery])
        super().__init__(
            # Sets that are for testing alone give torchreid training identities with gaps.
            train=NoRecords() if test_only else relabelled(_tripled(base.train)),
            query=_tripled(base.query),
            gallery=_tripled(base.gallery),
            **kwargs,
        )


def factories() -> dict[str, DatasetFactory]:
    """Name -> factory for every image data set that torchreid has, apart from those of promptreid."""
    names = [name for name in host.dataset_names() if not host.is_ours("dataset", name)]
    return {f"{name}{SUFFIX}": partial(AsTriples, host_name=name) for name in names}


def _tripled(records: list[Record]) -> list[Record]:
    return [
        (PathBundle(dict.fromkeys(MODALITIES, path), camid), pid, camid, *rest) for path, pid, camid, *rest in records
    ]
