"""The base class of every multi-modal data set: torchreid's ``ImageDataset`` with modalities."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from promptreid import host
from promptreid.config.own_keys import BAD_IMAGE
from promptreid.data.aligned import choose_kept, transform_aligned
from promptreid.data.augmentations import random_state_of
from promptreid.data.bad_images import ERRORS, UNREADABLE, blanks, item_or_other
from promptreid.data.batch import ModalBatch, PathBundle
from promptreid.data.cameras import row_of
from promptreid.data.images import PILLOW, read_images
from promptreid.data.packing import Pack
from promptreid.data.sampling import ModalityBalancer
from promptreid.data.sixteen_bit import FULL, Range16

logger = logging.getLogger(__name__)

Reader = Callable[[list[str]], list[Image.Image]]
Record = tuple[Any, ...]
"""``(path, pid, camid)`` or ``(path, pid, camid, dsetid)``, torchreid's own form, with a PathBundle as path."""


class NoRecords(list[Record]):
    """A list of records that is empty on purpose, as that of a data set which is there to be tested on alone.

    torchreid looks at the length of the first record of each list, which here is 0.
    """

    def __getitem__(self, place: Any) -> Any:
        return () if place == 0 else super().__getitem__(place)


class ModalDataset(host.ImageDataset):
    """A data set whose samples are images of one or more modalities.

    Items are torchreid's (``img``, ``pid``, ``camid``, ``impath``, ``dsetid``), with ``img`` a ``ModalBatch``. A record
    whose path is an ordinary string (from a data set of torchreid's that was added to this one) is read as a sample
    of the first modality, whose other modalities are missing.

    Args:
        train, query, gallery: records ``(PathBundle, pid, camid)``; the train pids are 0..N-1. A list that isn't needed
            is a :class:`NoRecords`.
        kwargs: torchreid's own (``transform``, ``k_tfm``, ``mode``, ``combineall``, ``verbose``, ...).

    Raises:
        ValueError: an empty list, train pids with gaps, a train identity that lacks a modality, or a sample whose
            modalities aren't those of the class.
    """

    modalities: tuple[str, ...] = ("visible", "infrared")
    """Names of the modalities; a modality id is an index into this table."""
    images_per_sample = 1
    """M: 1 for visible-infrared data, 3 for RGB + NIR + TIR triples. With more than 1, each PathBundle has all of
    ``modalities`` in their order, ``None`` for those that its sample lacks."""
    num_cameras = 0
    """Size of the table of true cameras."""
    protocols: tuple[Any, ...] = ()
    """The evaluation protocols of this data set; the first one is its headline."""

    transforms: Mapping[str, Callable[[Any], Tensor]] = MappingProxyType({})
    """Transforms by modality; a modality that isn't in here has torchreid's ``transform``."""
    aligned = False
    """Augment the images of a sample alike; see :mod:`promptreid.data.aligned`."""
    drop_modality = 0.0
    """Probability with which each modality of a train sample is treated as missing; one always stays."""
    second_visible: Callable[[Any], Tensor] | None = None
    """Transform of a second copy that every visible image of a batch gets (CAJ), for training; none when None."""
    batch_step: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] | None = None
    """What is done to the items of a train batch together, after the second copies; nothing when None."""
    pack: Pack | None = None
    """Where images are read from instead of their own files."""
    decoder = PILLOW
    """What decodes those files; see :data:`promptreid.data.images.DECODERS`."""
    range_16bit: Range16 = FULL
    """Which of its 65536 levels a 16-bit image's 256 are; see :mod:`promptreid.data.sixteen_bit`."""
    on_bad_image = BAD_IMAGE[0]
    """``stop`` at an image that cannot be read; or ``skip`` it: another one of its identity stands for it in training,
    and a test item gets black images and, as every item, the reason under ``unreadable`` for whoever leaves it out."""
    balance_batches = True
    """Draw K images of each modality wherever a train batch is one of identities; off when the sampler does."""
    whole_chunks = False
    """Let that sampler draw again where it would leave a remainder out, as MIP's released code does on RegDB."""
    named_protocols: tuple[Any, ...] = ()
    """Protocols that are used only when ``test.protocols`` names them."""
    missing_protocols: Mapping[str, str] = MappingProxyType({})
    """Names that ``test.protocols`` might ask for in vain, each with the reason."""
    no_standard = ""
    """Why there is nothing in :attr:`protocols`, so that ``test.protocols`` has to name one; empty otherwise."""
    options: frozenset[str] = frozenset()
    """Names of the constructor's arguments that a configuration sets, such as ``incomplete`` (``data.incomplete``)."""
    camera_space: str = ""
    """Whose cameras these are, for the rows of a model's camera table; the class's name when empty. Variants of a data
    set have the same cameras."""
    camera_rows: Mapping[str, int]
    """For each camera space among the train images, the row of its first camera in a model's camera table."""
    camera_offset: int | None = 0
    """What is added to the true camera of each sample; None marks all cameras as unknown."""
    incomplete_note: str = ""
    """What of the published test set isn't on disk, such as ``"38 of 3803 queries"``; results are labelled with it."""
    split: str = ""
    """Which of several divisions into training and test identities this is, such as ``"regdb split 3"``."""

    def __init__(self, train: list[Record], query: list[Record], gallery: list[Record], **kwargs: Any) -> None:
        for name, records in (("train", train), ("query", query), ("gallery", gallery)):
            if not records and not isinstance(records, NoRecords):
                raise ValueError(f"{type(self).__name__}: the {name} list is empty; is the data set complete?")
            self._check_samples(records)
        self._check_train(train)
        self.camera_rows = {self.camera_space or type(self).__name__: 0}
        super().__init__(train, query, gallery, **kwargs)
        self._balancer: ModalityBalancer | None = None

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._item(index, self.transforms)

    def _item(
        self, index: int, transforms: Mapping[str, Callable[[Any], Tensor]], seed: int | None = None
    ) -> dict[str, Any]:
        if self.on_bad_image == BAD_IMAGE[0]:
            return self._item_of(index, transforms, self._read)
        if self.mode == "train":
            return item_or_other(
                lambda chosen: self._item_of(chosen, transforms, self._read), index, lambda: self._alike(index), seed
            )
        try:
            return {**self._item_of(index, transforms, self._read), UNREADABLE: ""}
        except ERRORS as error:
            return {**self._item_of(index, transforms, blanks), UNREADABLE: str(error)}

    def _alike(self, index: int) -> list[int]:
        """The other samples of its identity, where samples are single images those of its modality."""
        path, pid, *_ = self.data[index]
        single, modality = self.images_per_sample == 1, self.modality_of(path)
        found = (number for number, record in enumerate(self.data) if record[1] == pid and number != index)
        return [number for number in found if not single or self.modality_of(self.data[number][0]) == modality]

    def _item_of(self, index: int, transforms: Mapping[str, Callable[[Any], Tensor]], read: Reader) -> dict[str, Any]:
        path, pid, camid, dsetid = self.data[index]
        samples = self._samples(path, camid, transforms, read)
        return {
            "img": samples[0] if len(samples) == 1 else samples,
            "pid": pid,
            "camid": camid,
            "impath": path,
            "dsetid": dsetid,
        }

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """A whole batch, as torch's loader asks for it; train batches of identities are balanced over modalities.

        With :attr:`second_visible` a batch grows: after its own samples come the second copies of its visible
        ones, in their order and with their identities and cameras. K + K images per identity so become 2 K + K.

        A :class:`~promptreid.data.seeding.SeededBatch` is augmented from its own seed.
        """
        seed = getattr(indices, "seed", None)
        if self.mode == "train" and self.images_per_sample == 1 and self.balance_batches:
            indices = self.balancer.balance(indices)
        with random_state_of(seed):
            items = [self._item(index, self.transforms, seed) for index in indices]
            if self.second_visible is not None:
                again = {self.modalities[0]: self.second_visible}
                seen = [index for index in indices if self.modality_of(self.data[index][0]) == 0]
                items += [self._item(index, again, seed) for index in seen]
            if self.batch_step is not None and self.mode == "train":
                items = self.batch_step(items)
        return items

    @property
    def balancer(self) -> ModalityBalancer:
        """Draws K images of each modality per identity; see :class:`ModalityBalancer`."""
        if self._balancer is None:
            self._balancer = ModalityBalancer(
                [record[1] for record in self.data],
                [self.modality_of(record[0]) for record in self.data],
                len(self.modalities),
            )
        return self._balancer

    def modality_of(self, path: str) -> int:
        """Modality id of a one-image record; a plain path is of the first modality."""
        return self.modalities.index(next(iter(path.paths))) if isinstance(path, PathBundle) else 0

    def _samples(
        self, path: str, camid: int, transforms: Mapping[str, Callable[[Any], Tensor]], read: Reader
    ) -> list[Any]:
        bundle = path if isinstance(path, PathBundle) else self._bundle(path, camid)
        files = {name: file for name, file in bundle.paths.items() if file is not None}
        if self.mode == "train" and self.images_per_sample > 1:
            files = {name: files[name] for name in choose_kept(list(files), self.drop_modality)}
        images = dict(zip(files, read(list(files.values())), strict=True))
        if self.transform is None:
            return [
                {name: images.get(name) for name in bundle.paths} if self.images_per_sample > 1 else images.popitem()[1]
            ]
        return [self._sample(bundle, images, transforms) for _ in range(self.k_tfm)]

    def _bundle(self, path: str, camid: int) -> PathBundle:
        """A plain path as a sample of the first modality."""
        names = self.modalities if self.images_per_sample > 1 else self.modalities[:1]
        return PathBundle({**dict.fromkeys(names), names[0]: path}, camid)

    def _read(self, files: list[str]) -> list[Image.Image]:
        if self.pack is not None:
            return [self.pack.read(file) for file in files]
        return read_images(files, self.decoder, self.range_16bit)

    def _sample(
        self,
        bundle: PathBundle,
        images: Mapping[str, Image.Image],
        transforms: Mapping[str, Callable[[Any], Tensor]],
    ) -> ModalBatch:
        chains = {name: transforms.get(name, self.transform) for name in images}
        if self.aligned and self.images_per_sample > 1:
            tensors = transform_aligned(images, chains, seed=int(torch.randint(2**31, ())))
        else:
            tensors = {name: chains[name](image) for name, image in images.items()}
        missing = torch.zeros_like(next(iter(tensors.values())))
        return ModalBatch.sample(
            torch.stack([tensors.get(name, missing) for name in bundle.paths]),
            [self.modalities.index(name) for name in bundle.paths],
            bundle.camera if self.camera_offset == 0 else row_of(bundle.camera, self.camera_offset),
            [name in tensors for name in bundle.paths],
        )

    def __add__(self, other: Any) -> ModalDataset:
        """Join the train sets, with identities, cameras and data set ids of ``other`` counted on from ours.

        Raises:
            ValueError: ``other`` has other modalities.
        """
        if isinstance(other, ModalDataset):
            self._check_same_modalities(other)
        merged = copy.copy(self)
        merged.train = list(self.train) + [
            (
                _shift_camera(path, self.num_cameras),
                pid + self.num_train_pids,
                camid + self.num_train_cams,
                dsetid + self.num_datasets,
            )
            for path, pid, camid, dsetid in other.train
        ]
        merged.data = merged.train if self.mode == "train" else self.data
        merged.num_train_pids = self.get_num_pids(merged.train)
        merged.num_train_cams = self.get_num_cams(merged.train)
        merged.num_datasets = self.get_num_datasets(merged.train)
        theirs = getattr(other, "camera_rows", {type(other).__name__: 0})
        added = {space: self.num_cameras + row for space, row in theirs.items() if space not in self.camera_rows}
        merged.camera_rows = {**self.camera_rows, **added}  # a set that is there twice is tested with its first rows
        merged.num_cameras = self.num_cameras + getattr(other, "num_cameras", other.num_train_cams)
        merged._balancer = None
        return merged

    def combine_all(self) -> None:
        """As torchreid's, which fails where an identity has queries and nothing in the gallery (SYSU-MM01 indoor)."""
        query: list[Record] = self.query
        gallery: list[Record] = self.gallery
        known = {record[1] for record in gallery}
        self.query: list[Record] = [record for record in query if record[1] in known]
        self.gallery: list[Record] = gallery + [record for record in query if record[1] not in known]
        super().combine_all()
        self.query, self.gallery = query, gallery

    def show_summary(self) -> None:
        """Log identities, images and cameras per split and modality (torchreid prints; a library should not).

        torchreid builds each data set once per split; the table comes with the first of them.
        """
        if self.mode != "train":
            return
        for split in ("train", "query", "gallery"):
            records = getattr(self, split)
            counts = Counter(self._label(record[0]) for record in records)
            logger.info(
                "%s %-7s %5d ids  %6d images  (%s)  %d cameras",
                type(self).__name__,
                split,
                self.get_num_pids(records),
                len(records),
                ", ".join(f"{count} {name}" for name, count in sorted(counts.items())),
                self.get_num_cams(records),
            )

    def _label(self, path: str) -> str:
        if not isinstance(path, PathBundle):
            return self.modalities[0]
        return "+".join(name for name, file in path.paths.items() if file is not None)

    def _check_same_modalities(self, other: ModalDataset) -> None:
        if (other.modalities, other.images_per_sample) != (self.modalities, self.images_per_sample):
            raise ValueError(
                f"data.sources: a sample of {type(self).__name__} has {self.images_per_sample} of "
                f"{', '.join(self.modalities)}, one of {type(other).__name__} {other.images_per_sample} of "
                f"{', '.join(other.modalities)}; train on one of them"
            )

    def _check_samples(self, records: list[Record]) -> None:
        for path, *_ in records:
            names = tuple(path.paths) if isinstance(path, PathBundle) else ()
            if self.images_per_sample > 1 and names != self.modalities:
                raise ValueError(
                    f"{type(self).__name__}: the sample of {path} has the modalities ({', '.join(names)}); expected "
                    f"({', '.join(self.modalities)}) in this order, with None for a missing one"
                )

    def _check_train(self, train: list[Record]) -> None:
        pids = {record[1] for record in train}
        if pids != set(range(len(pids))):
            raise ValueError(f"{type(self).__name__}: train pids must be 0..{len(pids) - 1} without gaps")
        if self.images_per_sample > 1:
            return
        seen = {(record[1], self.modality_of(record[0])) for record in train}
        for path, pid, *_ in train:
            for modality, name in enumerate(self.modalities):
                if (pid, modality) not in seen:
                    raise ValueError(
                        f"{type(self).__name__}: the identity of {path} has no {name} image; "
                        "cross-modal training needs both modalities: add some, or take the identity off the train list"
                    )


def _shift_camera(path: str, offset: int) -> str:
    if isinstance(path, PathBundle) and path.camera >= 0:
        return PathBundle(path.paths, path.camera + offset, path.labels)
    return path


DatasetFactory = Callable[..., ModalDataset]
