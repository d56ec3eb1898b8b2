"""torchreid's data manager with what its arguments can't ask for."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from promptreid import host
from promptreid.config.own_keys import BAD_IMAGE, INCOMPLETE, START_METHODS
from promptreid.data import jpeg
from promptreid.data.aligned import POOLED, named_steps
from promptreid.data.amplitude import AmplitudeSwap
from promptreid.data.cameras import map_test_cameras
from promptreid.data.dataset import ModalDataset
from promptreid.data.images import DECODERS, PILLOW, warn_of_narrow_ranges, warn_of_oddities
from promptreid.data.options import bound_options
from promptreid.data.packing import Pack, files_of
from promptreid.data.samplers import CrossModalSampler, IdentitySampler
from promptreid.data.seeding import DrawnBatches, SeededBatches, SeededDataset
from promptreid.data.sixteen_bit import FULL, Range16
from promptreid.data.transforms import PLAIN, TRANSFORMS, Augmentation, ImageSettings

logger = logging.getLogger(__name__)

CROSS_MODAL = "CrossModalSampler"
IDENTITY = "IdentitySampler"
_READING = ("data.pack", "data.decoder", "data.range_16bit", "data.on_bad_image")
_STAND_INS = {"train_sampler": "SequentialSampler", "combineall": False, "load_train_targets": False}
"""For tests alone: the sources need not be there; a target stands for them, and is never drawn from. torchreid refuses
``load_train_targets`` for what is a source as well."""
_PROBES = 8  # samples of each set whose images are looked at before training


class ModalDataManager(host.ImageDataManager):
    """Builds torchreid's data sets and loaders, then changes what is asked for.

    With nothing asked the data are torchreid's: the same sets, batches of the same sizes, the same transforms. Only the
    draws differ: of ``train_loader``, batches and their augmentation are a function of (seed, epoch, rank, number
    of the batch) alone, for every sampler, data set and number of workers. Call :meth:`set_epoch` before each epoch.

    * ``train_sampler="IdentitySampler"``: P identities with K samples each, where ``batch_size_train`` = P x K and
      ``num_instances`` = K.
    * ``train_sampler="CrossModalSampler"``: P identities with K images of each modality, where ``batch_size_train`` =
      P x M x K and ``num_instances`` = M x K, M the number of modalities.
    * ``augment``: chains for each modality in place of ``transforms``, aligned over a sample if asked; modalities left
      out; a second copy of the visible images; amplitudes exchanged between the bands of a batch.
    * ``pack``: images come from a packed file instead of being decoded.
    * ``persistent_workers``: the training workers stay from epoch to epoch.

    Under several processes the sizes are those of all of them together, and these two samplers give each its share.

    Args:
        seed: of the train loader's batches and their augmentation.
        augment: the node ``data.augment``.
        pack: file written by ``tools/pack_dataset.py``, or "".
        persistent_workers: needs ``workers`` of at least 1.
        incomplete: ``skip`` or ``keep`` samples that lack a modality, in data sets that have such.
        table: file of the data set ``table``.
        decoder: ``pillow`` or ``simplejpeg``, of the files of data sets of ours.
        range_16bit, limits_16bit: which levels of 16-bit images become 0 to 255, in data sets of ours; see
            :class:`promptreid.data.sixteen_bit.Range16`.
        on_bad_image: ``stop`` or ``skip``, in data sets of ours; tests have to leave out what
            :mod:`promptreid.data.bad_images` marks, as ``PromptEngine`` does.
        start_method: of loader workers, ``fork``, ``spawn`` or ``forkserver``; the platform's when empty.
        rank, world_size: this process among those that train together.
        trained: what a checkpoint says of its training data
            (:func:`~promptreid.engine.checkpoints.provenance.data_record`). The sources are not read then, and of the
            targets no training images where a data set has the option ``test_only``: for tests.
        kwargs: torchreid's own.

    Raises:
        ValueError: settings that contradict each other or need a multi-modal data set; an unusable pack; ``combineall``
            where a target's test images would be trained on; ``k_tfm`` above 1.
        FileNotFoundError: no such data set or pack; nothing is downloaded.
        ModuleNotFoundError: the decoder isn't installed.
    """

    train_loader: Any
    test_loader: dict[str, dict[str, Any]]

    def __init__(
        self,
        *,
        seed: int = 0,
        augment: Augmentation | None = None,
        pack: str = "",
        persistent_workers: bool = False,
        incomplete: str = INCOMPLETE[0],
        table: str = "",
        decoder: str = PILLOW,
        range_16bit: str = FULL.name,
        limits_16bit: Sequence[int] = (),
        on_bad_image: str = BAD_IMAGE[0],
        start_method: str = START_METHODS[0],
        rank: int = 0,
        world_size: int = 1,
        trained: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.trained, sources = trained, kwargs.get("sources")
        if trained:
            kwargs, augment, world_size = {**kwargs, **_STAND_INS, "sources": kwargs.get("targets")}, None, 1
        sampler = kwargs.get("train_sampler", "RandomSampler")
        ours = sampler in (CROSS_MODAL, IDENTITY)
        _check_divided(sampler, world_size)
        _check_name("data.incomplete", incomplete, INCOMPLETE)
        _check_name("data.decoder", decoder, DECODERS)
        _check_name("data.on_bad_image", on_bad_image, BAD_IMAGE)
        _check_start_method(start_method)
        levels = Range16(range_16bit, tuple(limits_16bit))
        _check_copies(kwargs.get("k_tfm", 1))
        with _bound(kwargs, incomplete, table, bool(trained)), host.no_downloads():
            # torchreid refuses a sampler that it doesn't know; its stand-in is replaced before anything is drawn.
            super().__init__(**{**kwargs, "train_sampler": "SequentialSampler" if ours else sampler})
        augment = augment or Augmentation()
        if kwargs.get("combineall"):
            self._refuse_tested_images()
        self._check_datasets(
            {
                "sampler.train_sampler": sampler == CROSS_MODAL,
                "data.augment": augment.asked,
                "data.pack": bool(pack),
                "data.decoder": decoder != PILLOW,
                "data.range_16bit": levels != FULL,
                "data.on_bad_image": on_bad_image != BAD_IMAGE[0],
            }
        )
        if trained:
            self.sources = [sources] if isinstance(sources, str) else list(sources or [])
            self._num_train_pids, self._num_train_cams = trained["identities"], trained["cameras"]
        self.map_cameras(self.camera_rows, tell=False)
        self._set_augmentation(augment)
        self._set_reading(decoder, levels, on_bad_image)
        if pack:
            self._set_pack(Pack(pack, kwargs.get("root", "")), levels, augment.interpolation)
        self._seed_batches(self._batches(sampler, kwargs, seed, rank, world_size), persistent_workers)
        self._set_start_method(start_method)

    def _batches(self, sampler: str, kwargs: Mapping[str, Any], seed: int, rank: int, world_size: int) -> SeededBatches:
        """Batches of the sampler of that name, which depend on the seed and the epoch alone."""
        batches: Any = DrawnBatches(self.train_loader.batch_sampler, seed)
        if sampler in (CROSS_MODAL, IDENTITY):
            sizes = kwargs.get("batch_size_train", 32), kwargs.get("num_instances", 4)
            build = self._cross_modal_batches if sampler == CROSS_MODAL else self._identity_batches
            batches = build(*sizes, seed=seed, rank=rank, world_size=world_size)
        return SeededBatches(batches, seed, rank)

    @property
    def camera_rows(self) -> dict[str, int]:
        """The row of the first camera of each data set that is trained on; see :mod:`promptreid.data.cameras`."""
        own = getattr(self.train_loader.dataset, "camera_rows", {})
        return dict(self.trained["camera_rows"] if self.trained else own)

    def map_cameras(self, rows: Mapping[str, int], tell: bool = True) -> None:
        """Let the test sets look up their cameras where a training has put them; see :func:`map_test_cameras`."""
        map_test_cameras([loader.dataset for loader in self._test_loaders()], rows, tell)

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch, 0-based, of the next iteration of ``train_loader``, and the batch with which it starts.

        The batches from ``start`` on are those of an uninterrupted epoch; the ones before are not loaded.
        ``len(train_loader)`` counts the whole epoch in any case.

        Raises:
            ValueError: the epoch has no such batch.
        """
        self.train_loader.batch_sampler.set_epoch(epoch, start)

    def _check_datasets(self, asked: dict[str, bool]) -> None:
        """Only data sets of ours know chains per modality, packs and decoders."""
        tested = [loader.dataset for loader in self._test_loaders()]
        for key in (key for key, wanted in asked.items() if wanted):
            for dataset in [self.train_loader.dataset, *(tested if key in _READING else [])]:
                if not isinstance(dataset, ModalDataset):
                    raise ValueError(f"{key}: {type(dataset).__name__} isn't multi-modal; leave this key unset")

    def _refuse_tested_images(self) -> None:
        """``data.combineall`` trains on all images of the sources, among which no target's test images may be."""
        trained = set(map(os.path.abspath, files_of(self.train_loader.dataset.data)))
        tested = {name: [loader.dataset.data for loader in pair.values()] for name, pair in self.test_loader.items()}
        seen = {
            name: sum(os.path.abspath(path) in trained for records in found for path in files_of(records))
            for name, found in tested.items()
        }
        named = [f"{name} ({count} images)" for name, count in seen.items() if count]
        if named:
            raise ValueError(
                f"data.combineall True trains on query and gallery images of data.targets {', '.join(named)}, and a "
                "test of what was trained on says nothing: set it to False, or test on another data set"
            )

    def _set_augmentation(self, augment: Augmentation) -> None:
        if augment.asked:
            self._augment(augment)
        self._warn_of_pools(augment.aligned)

    def _augment(self, augment: Augmentation) -> None:
        dataset = self.train_loader.dataset
        normalize = self.transform_te.transforms[-1]
        image = ImageSettings(self.height, self.width, normalize.mean, normalize.std, augment.interpolation)
        dataset.transforms = augment.chains(dataset.modalities, image)
        dataset.aligned, dataset.drop_modality = augment.aligned, augment.drop_modality
        if augment.drop_modality and dataset.images_per_sample == 1:
            raise ValueError(
                f"data.augment.drop_modality {augment.drop_modality}: a sample of {type(dataset).__name__} is one "
                "image, which can't be left out; set it to 0"
            )
        if augment.second_visible:
            _refuse_tuples(dataset, "data.augment.second_visible True", "set it to False")
            visible = dataset.transforms.get(dataset.modalities[0], self.transform_tr)
            dataset.second_visible = v2.Compose([visible, TRANSFORMS[augment.second_exchange](image)])
        if augment.amplitude_swap:
            self._swap_amplitudes(augment, image)

    def _swap_amplitudes(self, augment: Augmentation, image: ImageSettings) -> None:
        dataset = self.train_loader.dataset
        if len(dataset.modalities) == 1:
            raise ValueError(
                f"data.augment.amplitude_swap {augment.amplitude_swap}: {type(dataset).__name__} has "
                f"{dataset.modalities[0]} images alone, and a partner is of another band; set it to 0"
            )
        dataset.batch_step = AmplitudeSwap(augment.amplitude_swap, augment.amplitude_window, image.mean, image.std)

    def _warn_of_pools(self, aligned: bool) -> None:
        """``random_patch`` depends on the images that its worker has met, whatever the seed."""
        dataset = self.train_loader.dataset
        unused = isinstance(dataset, ModalDataset) and set(dataset.modalities) == set(dataset.transforms)
        if unused or not any(name == POOLED for name, _ in named_steps(self.transform_tr)):
            return
        if aligned and dataset.images_per_sample > 1:
            raise ValueError(
                "data.augment.aligned True: random_patch (data.transforms) pastes pieces of earlier images, which "
                "can't be the same in every modality; take it out of data.transforms"
            )
        logger.warning(
            "data.transforms random_patch pastes pieces of the images that a worker met before: with it a run "
            "isn't repeated or resumed exactly"
        )

    def _set_start_method(self, method: str) -> None:
        loaders = [self.train_loader, self.train_loader_t, *self._test_loaders()]
        for loader in loaders if method else ():
            if loader is not None and loader.num_workers:
                loader.multiprocessing_context = method

    def _set_reading(self, decoder: str, levels: Range16, on_bad_image: str) -> None:
        if decoder != PILLOW:
            jpeg.check_installed()
        targets = [self.train_loader_t.dataset] if self.train_loader_t is not None else []
        for dataset in self._all_datasets() + targets:
            if isinstance(dataset, ModalDataset):
                dataset.decoder, dataset.range_16bit, dataset.on_bad_image = decoder, levels, on_bad_image
                # Here, since the workers of a loader would all say so, in every epoch.
                probes = files_of(dataset.data[:: max(1, len(dataset.data) // _PROBES)])
                warn_of_oddities(probes)
                if levels == FULL:
                    warn_of_narrow_ranges(probes)

    def _set_pack(self, packed: Pack, levels: Range16, interpolation: str) -> None:
        if interpolation != PLAIN:
            logger.info("test images are decoded: they are resized with %s, the pack with %s", PLAIN, interpolation)
        for dataset in self._all_datasets() if interpolation == PLAIN else [self.train_loader.dataset]:
            packed.check(files_of(dataset.data), self.height, self.width, interpolation, levels)
            dataset.pack = packed

    def _identity_batches(self, batch_size: int, num_instances: int, **process: int) -> IdentitySampler:
        if batch_size % num_instances:
            raise ValueError(
                f"train.batch_size {batch_size} must be a multiple of sampler.num_instances {num_instances}"
            )
        pids = [record[1] for record in self.train_loader.dataset.data]
        return IdentitySampler(pids, batch_size // num_instances, num_instances, **process)

    def _cross_modal_batches(self, batch_size: int, num_instances: int, **process: int) -> CrossModalSampler:
        dataset = self.train_loader.dataset
        _refuse_tuples(dataset, f"sampler.train_sampler {CROSS_MODAL}", f"choose {IDENTITY}")
        modalities = len(dataset.modalities)
        if num_instances % modalities or batch_size % num_instances:
            raise ValueError(
                f"sampler.num_instances {num_instances} must be a multiple of {modalities}, the number of modalities, "
                f"and train.batch_size {batch_size} a multiple of it"
            )
        dataset.balance_batches = False
        return CrossModalSampler(
            [record[1] for record in dataset.data],
            [dataset.modality_of(record[0]) for record in dataset.data],
            num_identities=batch_size // num_instances,
            num_instances=num_instances // modalities,
            num_modalities=modalities,
            whole_chunks=dataset.whole_chunks,
            **process,
        )

    def _seed_batches(self, batches: SeededBatches, persistent_workers: bool) -> None:
        old = self.train_loader
        dataset: Any = old.dataset if isinstance(old.dataset, ModalDataset) else SeededDataset(old.dataset)
        # No worker_init_fn: torch limits each worker to one thread itself, and cv2.setNumThreads waits for ever in a
        # forked worker whose parent has used OpenCV's threads. Nothing in the workers uses OpenCV.
        self.train_loader = DataLoader(
            dataset,
            batch_sampler=batches,
            num_workers=old.num_workers,
            pin_memory=old.pin_memory,
            persistent_workers=persistent_workers,
            # The seed of its workers would otherwise come from the generator that the model draws from, and only when
            # workers start: a resumed run would go on with other numbers.
            generator=torch.Generator(),
        )

    def _all_datasets(self) -> list[Any]:
        return [self.train_loader.dataset, *(loader.dataset for loader in self._test_loaders())]

    def _test_loaders(self) -> list[Any]:
        return [loader for pair in self.test_loader.values() for loader in pair.values()]


def _check_divided(sampler: str, world_size: int) -> None:
    if world_size > 1 and sampler not in (CROSS_MODAL, IDENTITY):
        raise ValueError(
            f"sampler.train_sampler {sampler} gives each of the {world_size} processes the same images: choose "
            f"{IDENTITY} or {CROSS_MODAL}, which divide every batch among them"
        )


def _check_copies(count: int) -> None:
    if count != 1:
        raise ValueError(
            f"data.k_tfm {count}: neither torchreid's engines nor ours take a list of augmented copies of an image; "
            "set it to 1"
        )


def _bound(kwargs: dict[str, Any], incomplete: str, table: str, test_only: bool) -> AbstractContextManager[None]:
    """Within it, the data sets that are built get the options that torchreid does not pass on."""
    # A table that somebody registered under another name has its file already.
    options: dict[str, Any] = {"incomplete": incomplete} | ({"table": table} if table else {})
    options |= {"test_only": True} if test_only else {}
    return bound_options(_names(kwargs), options, {"incomplete": INCOMPLETE[0], "table": "", "test_only": True})


def _names(kwargs: dict[str, Any]) -> list[str]:
    """The data sets in ``sources`` and ``targets``, each of which torchreid takes as one name, a list or None."""
    given = (kwargs.get("sources") or [], kwargs.get("targets") or [])
    return list(dict.fromkeys(name for some in given for name in ([some] if isinstance(some, str) else some)))


def _check_name(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{key}: unknown name {value!r} (one of {', '.join(known)})")


def _check_start_method(value: str) -> None:
    known = (START_METHODS[0], *multiprocessing.get_all_start_methods())
    _check_name("data.start_method", value, START_METHODS)
    if value not in known:
        raise ValueError(f"data.start_method {value}: this platform has {', '.join(known[1:])}; leave it empty")


def _refuse_tuples(dataset: ModalDataset, setting: str, remedy: str) -> None:
    if dataset.images_per_sample > 1:
        raise ValueError(
            f"{setting}: {type(dataset).__name__} has all modalities in each sample, so there is nothing to pair; "
            f"{remedy}"
        )
