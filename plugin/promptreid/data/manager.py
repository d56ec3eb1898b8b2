"""torchreid's data manager with what its arguments can't ask for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from promptreid import host
from promptreid.data.augmentations import ChannelExchange
from promptreid.data.dataset import ModalDataset
from promptreid.data.packing import Pack, files_of
from promptreid.data.samplers import CrossModalSampler, SeededBatches
from promptreid.data.transforms import PLAIN, Augmentation, ImageSettings, Transform, build_chain

logger = logging.getLogger(__name__)

CROSS_MODAL = "CrossModalSampler"


class ModalDataManager(host.ImageDataManager):
    """Builds torchreid's data sets and loaders, then changes what is asked for; with nothing asked it is torchreid's.

    * ``train_sampler="CrossModalSampler"``: P identities with K images of each modality, where ``batch_size_train`` =
      P x M x K and ``num_instances`` = M x K, M the number of modalities. Both are those of all processes together.
    * ``augment``: chains for each modality in place of ``transforms``, and a second copy of the visible images.
    * ``pack``: images come from a packed file instead of being decoded.
    * ``persistent_workers``: the training workers stay from epoch to epoch.

    With a sampler of ours or with persistent workers, a batch's augmentation depends on (seed, epoch, number of the
    batch) alone, so it is the same for any number of workers. Call :meth:`set_epoch` before each epoch.

    Args:
        seed: of the sampler, and of the augmentation where it says so above.
        augment: the node ``data.augment``.
        pack: file written by ``tools/pack_dataset.py``, or "".
        persistent_workers: needs ``workers`` of at least 1.
        rank, world_size: this process among those that train together.
        kwargs: torchreid's own.

    Raises:
        ValueError: settings that contradict each other or need a multi-modal data set; an unusable pack.
        FileNotFoundError: no such pack.
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
        rank: int = 0,
        world_size: int = 1,
        **kwargs: Any,
    ) -> None:
        sampler = kwargs.get("train_sampler", "RandomSampler")
        if world_size > 1 and sampler != CROSS_MODAL:
            raise ValueError(
                f"sampler.train_sampler {sampler} gives each of the {world_size} processes the same images: choose "
                f"{CROSS_MODAL}, which divides every batch among them"
            )
        # torchreid refuses a sampler that it doesn't know; its stand-in is replaced before anything is drawn.
        super().__init__(**{**kwargs, "train_sampler": "SequentialSampler" if sampler == CROSS_MODAL else sampler})
        augment = augment or Augmentation()
        self._check_datasets(
            {
                "sampler.train_sampler": sampler == CROSS_MODAL,
                "data.augment": augment.asked,
                "data.persistent_workers": persistent_workers,
                "data.pack": bool(pack),
            }
        )
        self._set_augmentation(augment)
        if pack:
            self._set_pack(Pack(pack, kwargs.get("root", "")), augment.interpolation)
        batches = self.train_loader.batch_sampler
        if sampler == CROSS_MODAL:
            sizes = kwargs.get("batch_size_train", 32), kwargs.get("num_instances", 4)
            batches = self._cross_modal_batches(*sizes, seed, rank, world_size)
        if sampler == CROSS_MODAL or persistent_workers:
            self._seed_batches(SeededBatches(batches, seed, rank), persistent_workers)

    def set_epoch(self, epoch: int) -> None:
        """Tell the batch sampler the epoch, 0-based; torchreid's own samplers need none."""
        if isinstance(self.train_loader.batch_sampler, SeededBatches):
            self.train_loader.batch_sampler.set_epoch(epoch)

    def _check_datasets(self, asked: dict[str, bool]) -> None:
        """Only data sets of ours know chains per modality, packs and seeded batches."""
        tested = [loader.dataset for loader in self._test_loaders()]
        for key in (key for key, wanted in asked.items() if wanted):
            for dataset in [self.train_loader.dataset, *(tested if key == "data.pack" else [])]:
                if not isinstance(dataset, ModalDataset):
                    raise ValueError(f"{key}: {type(dataset).__name__} isn't multi-modal; leave this key unset")

    def _set_augmentation(self, augment: Augmentation) -> None:
        if not augment.asked:
            return
        dataset = self.train_loader.dataset
        normalize = self.transform_te.transforms[-1]
        image = ImageSettings(self.height, self.width, normalize.mean, normalize.std, augment.interpolation)
        first, *others = dataset.modalities
        dataset.transforms = {
            **_chains("data.augment.visible", augment.visible, [first], image),
            **_chains("data.augment.infrared", augment.infrared, others, image),
        }
        if augment.second_visible:
            _refuse_tuples(dataset, "data.augment.second_visible True")
            dataset.second_visible = v2.Compose([dataset.transforms.get(first, self.transform_tr), ChannelExchange()])

    def _set_pack(self, pack: Pack, interpolation: str) -> None:
        readers = [self.train_loader.dataset]
        if interpolation == PLAIN:
            readers += [loader.dataset for loader in self._test_loaders()]
        else:
            logger.info("test images are decoded: they are resized with %s, the pack with %s", PLAIN, interpolation)
        for dataset in readers:
            pack.check(files_of(dataset.data), self.height, self.width, interpolation)
            dataset.pack = pack

    def _cross_modal_batches(
        self, batch_size: int, num_instances: int, seed: int, rank: int, world_size: int
    ) -> CrossModalSampler:
        dataset = self.train_loader.dataset
        _refuse_tuples(dataset, f"sampler.train_sampler {CROSS_MODAL}")
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
            seed=seed,
            num_modalities=modalities,
            rank=rank,
            world_size=world_size,
        )

    def _seed_batches(self, batches: SeededBatches, persistent_workers: bool) -> None:
        old = self.train_loader
        # No worker_init_fn: torch limits each worker to one thread itself, and cv2.setNumThreads waits for ever in a
        # forked worker whose parent has used OpenCV's threads. Nothing in the workers uses OpenCV.
        self.train_loader = DataLoader(
            old.dataset,
            batch_sampler=batches,
            num_workers=old.num_workers,
            pin_memory=old.pin_memory,
            persistent_workers=persistent_workers,
            # The seed of its workers would otherwise come from the generator that the model draws from, and only when
            # workers start: a resumed run would go on with other numbers.
            generator=torch.Generator(),
        )

    def _test_loaders(self) -> list[Any]:
        return [loader for pair in self.test_loader.values() for loader in pair.values()]


def _chains(key: str, names: Sequence[str], modalities: list[str], image: ImageSettings) -> dict[str, Transform]:
    """One chain for each of these modalities; none where no name is given."""
    if not names:
        return {}
    try:
        return {modality: build_chain(names, image) for modality in modalities}
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _refuse_tuples(dataset: ModalDataset, setting: str) -> None:
    if dataset.images_per_sample > 1:
        raise ValueError(
            f"{setting}: {type(dataset).__name__} has all modalities in each sample, so there is nothing to pair; "
            "leave this key at its default, or choose RandomIdentitySampler"
        )
