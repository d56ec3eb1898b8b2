"""The data manager: torchreid's own unless asked, and what each setting changes."""

from __future__ import annotations

import logging
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate
from torchvision.transforms.v2.functional import rgb_to_grayscale

from promptreid import host
from promptreid.data.augmentations import random_state_of
from promptreid.data.batch import ModalBatch
from promptreid.data.manager import ModalDataManager
from promptreid.data.packing import files_of, write_pack
from promptreid.data.transforms import Augmentation, ImageSettings, build_chain

BASE = {
    "sources": ["sysu_mm01"], "height": 32, "width": 16, "transforms": ["random_flip", "random_crop"],
    "norm_mean": [0.5] * 3, "norm_std": [0.5] * 3, "use_gpu": False, "batch_size_train": 16, "batch_size_test": 8,
    "workers": 0, "num_instances": 4, "train_sampler": "RandomIdentitySampler",
}  # fmt: skip
OURS = {"train_sampler": "CrossModalSampler"}
RELEASED = ("random_flip", "pad_crop", "jitter_or_blur", "pixel_erase", "random_grey")
BOTH = Augmentation(visible=RELEASED, infrared=RELEASED)


def manager(root: Path, **changes: Any) -> ModalDataManager:
    return ModalDataManager(**{**BASE, "root": str(root), **changes})


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def epoch_of(loader: DataLoader[Any], seed: int = 0) -> list[dict[str, Any]]:
    seed_all(seed)
    return list(loader)


def assert_same(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a["impath"] == b["impath"]
        assert torch.equal(a["img"]["images"], b["img"]["images"])


def assert_cross_modal(batch: dict[str, Any], identities: int, each: int) -> None:
    table = Counter(zip(batch["pid"].tolist(), batch["img"]["modality"].flatten().tolist(), strict=True))
    assert (len(table), set(table.values())) == (2 * identities, {each})


def pack_of(root: Path, file: Path, interpolation: str = "bilinear", splits: str = "train query gallery") -> str:
    dataset = host.data.datasets.init_image_dataset("sysu_mm01", root=str(root), verbose=False)
    records = [record for split in splits.split() for record in getattr(dataset, split)]
    write_pack(file, root, files_of(records), 32, 16, interpolation)
    return str(file)


def test_with_nothing_asked_the_data_are_torchreids(sysu_root: Path) -> None:
    ours = manager(sysu_root)
    theirs = host.ImageDataManager(**{**BASE, "root": str(sysu_root)})
    assert [record[1:] for record in ours.train_loader.dataset.data] == [
        record[1:] for record in theirs.train_loader.dataset.data
    ]
    for kind in ("query", "gallery"):
        assert_same(epoch_of(ours.test_loader["sysu_mm01"][kind]), epoch_of(theirs.test_loader["sysu_mm01"][kind]))


@pytest.mark.parametrize("sampler", ["RandomIdentitySampler", "RandomSampler", "SequentialSampler"])
def test_torchreid_under_the_same_seeds_gives_the_same_batches(sysu_root: Path, sampler: str) -> None:
    """The draws are torchreid's, from other seeds: those of the epoch, and of each batch."""
    ours = manager(sysu_root, train_sampler=sampler, seed=3)
    theirs = host.ImageDataManager(**{**BASE, "root": str(sysu_root), "train_sampler": sampler}).train_loader
    ours.set_epoch(2)
    with random_state_of(int(np.random.SeedSequence([3, 2], spawn_key=(1,)).generate_state(1)[0])):
        expected = [list(map(int, batch)) for batch in theirs.batch_sampler]
    seeded = list(ours.train_loader.batch_sampler)
    assert [list(batch) for batch in seeded] == expected
    ours.set_epoch(2)
    for batch, indices in zip(ours.train_loader, seeded, strict=True):
        with random_state_of(indices.seed):
            again = default_collate(theirs.dataset.__getitems__(list(indices)))
        assert_same([batch], [again])


def test_the_cross_modal_sampler_by_name(sysu_root: Path) -> None:
    data = manager(sysu_root, **OURS)
    batches = epoch_of(data.train_loader)
    assert len(batches) == len(data.train_loader) > 1
    for batch in batches:
        assert type(batch["img"]) is ModalBatch
        assert_cross_modal(batch, identities=4, each=2)


def test_its_batches_are_not_balanced_again(sysu_root: Path) -> None:
    data = manager(sysu_root, **OURS)
    records = data.train_loader.dataset.data
    indices_of_batches = list(data.train_loader.batch_sampler.batches)
    for indices, batch in zip(indices_of_batches, data.train_loader, strict=True):
        assert batch["impath"] == [records[index][0] for index in indices]


def test_an_epoch_is_a_function_of_seed_and_epoch(sysu_root: Path) -> None:
    data = manager(sysu_root, **OURS, augment=BOTH, seed=4)
    data.set_epoch(1)
    first = epoch_of(data.train_loader, seed=0)
    data.set_epoch(2)
    second = epoch_of(data.train_loader, seed=0)
    assert first[0]["impath"] != second[0]["impath"]
    resumed = manager(sysu_root, **OURS, augment=BOTH, seed=4)
    resumed.set_epoch(2)
    assert_same(epoch_of(resumed.train_loader, seed=1), second)
    other = manager(sysu_root, **OURS, augment=BOTH, seed=5)
    other.set_epoch(2)
    assert epoch_of(other.train_loader)[0]["impath"] != second[0]["impath"]


def threads_here(_: Any) -> torch.Tensor:
    return torch.full((3, 1, 1), float(torch.get_num_threads()))


def test_each_worker_runs_on_one_thread(sysu_root: Path) -> None:
    data = manager(sysu_root, **OURS, workers=1)
    data.train_loader.dataset.transform = threads_here
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert set(next(iter(data.train_loader))["img"]["images"].flatten().tolist()) == {1.0}
    finally:
        torch.set_num_threads(before)


def test_processes_share_every_batch(sysu_root: Path) -> None:
    whole = epoch_of(manager(sysu_root, **OURS).train_loader)
    shares = [epoch_of(manager(sysu_root, **OURS, rank=rank, world_size=2).train_loader) for rank in (0, 1)]
    assert len(whole) == len(shares[0]) == len(shares[1])
    for batch, *parts in zip(whole, *shares, strict=True):
        assert [path for part in parts for path in part["impath"]] == batch["impath"]
    assert all(not torch.equal(a["img"]["images"], b["img"]["images"]) for a, b in zip(*shares, strict=True))


def test_chains_are_for_their_modality(sysu_root: Path) -> None:
    augment = Augmentation(visible=("channel_exchange",), infrared=("normalize",))
    data = manager(sysu_root, **OURS, augment=augment)
    chain = build_chain([], ImageSettings(32, 16, [0.5] * 3, [0.5] * 3))
    dataset = data.train_loader.dataset
    dataset_as_read = host.data.datasets.init_image_dataset("sysu_mm01", root=str(sysu_root), transform=chain)
    changed = {0: [], 1: []}
    for index in range(0, len(dataset), 3):
        item, plain = dataset[index]["img"], dataset_as_read[index]["img"]
        changed[int(item["modality"])].append(not torch.equal(item["images"], plain["images"]))
        if int(item["modality"]) == 0:
            assert torch.equal(item["images"][0, 0], item["images"][0, 1])
    assert all(changed[0])
    assert not any(changed[1])
    assert changed[1]


def test_a_modality_without_names_keeps_torchreids_transforms(sysu_root: Path) -> None:
    data = manager(sysu_root, augment=Augmentation(infrared=("blur",)))
    assert set(data.train_loader.dataset.transforms) == {"infrared"}
    assert data.train_loader.dataset.transform is data.transform_tr


def test_test_images_keep_torchreids_transform(sysu_root: Path) -> None:
    augment = Augmentation(RELEASED, RELEASED, "bicubic")
    ours, theirs = manager(sysu_root, augment=augment), manager(sysu_root)
    assert_same(epoch_of(ours.test_loader["sysu_mm01"]["query"]), epoch_of(theirs.test_loader["sysu_mm01"]["query"]))


def test_a_wrong_chain_is_told_with_its_key(sysu_root: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.augment\.infrared: jitter needs values that aren't normalised"):
        manager(sysu_root, augment=Augmentation(infrared=("pixel_erase", "jitter")))


@pytest.mark.parametrize("sampler", ["CrossModalSampler", "RandomIdentitySampler"])
def test_second_visible_copies_join_the_end_of_their_batch(sysu_root: Path, sampler: str) -> None:
    data = manager(sysu_root, train_sampler=sampler, transforms=[], augment=Augmentation(second_visible=True))
    for batch in epoch_of(data.train_loader):
        images, modality = batch["img"]["images"][:, 0], batch["img"]["modality"][:, 0]
        assert len(modality) == 24
        assert_cross_modal({"pid": batch["pid"][:16], "img": {"modality": modality[:16]}}, identities=4, each=2)
        originals = [i for i in range(16) if modality[i] == 0]
        for copy, original in enumerate(originals, start=16):
            for field in ("pid", "camid", "impath"):
                assert batch[field][copy] == batch[field][original]
            assert batch["img"]["camera"][copy] == batch["img"]["camera"][original]
            assert modality[copy] == 0
            sources = [*images[original], rgb_to_grayscale(images[original])[0]]
            assert any(torch.equal(images[copy], source.expand(3, -1, -1)) for source in sources)


def test_the_second_copies_may_be_those_of_the_release(sysu_root: Path) -> None:
    augment = Augmentation(second_visible=True, second_exchange="caj_exchange")
    data = manager(sysu_root, train_sampler="CrossModalSampler", transforms=[], augment=augment)
    for batch in epoch_of(data.train_loader):
        images, modality = batch["img"]["images"][:, 0], batch["img"]["modality"][:, 0]
        originals = [i for i in range(16) if modality[i] == 0]
        for copy, original in enumerate(originals, start=16):
            assert any(torch.equal(images[copy], channel.expand(3, -1, -1)) for channel in images[original])


def test_testing_gets_no_second_copies(sysu_root: Path) -> None:
    data = manager(sysu_root, augment=Augmentation(second_visible=True))
    gallery = epoch_of(data.test_loader["sysu_mm01"]["gallery"])
    assert sum(len(batch["pid"]) for batch in gallery) == len(data.test_loader["sysu_mm01"]["gallery"].dataset)


def test_a_pack_changes_no_byte(sysu_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = pack_of(sysu_root, tmp_path / "pack.npy")
    decoded, packed = manager(sysu_root), manager(sysu_root, pack=file)
    loaders = [[data.train_loader, *data.test_loader["sysu_mm01"].values()] for data in (decoded, packed)]
    expected = [epoch_of(loader) for loader in loaders[0]]

    def refuse(paths: list[str], *settings: object) -> None:
        raise AssertionError(f"{paths} were decoded")

    monkeypatch.setattr("promptreid.data.dataset.read_images", refuse)
    for batches, loader in zip(expected, loaders[1], strict=True):
        assert_same(batches, epoch_of(loader))


def test_a_pack_with_our_chains_workers_and_filter(
    sysu_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = pack_of(sysu_root, tmp_path / "pack.npy", "bicubic", splits="train")
    augment = Augmentation(RELEASED, RELEASED, "bicubic", second_visible=True)
    with caplog.at_level(logging.INFO):
        packed = manager(sysu_root, **OURS, augment=augment, pack=file, workers=2)
    assert "test images are decoded" in caplog.text
    decoded = manager(sysu_root, **OURS, augment=augment)
    assert_same(epoch_of(decoded.train_loader), epoch_of(packed.train_loader))
    assert packed.test_loader["sysu_mm01"]["query"].dataset.pack is None


def test_an_unusable_pack_is_refused(sysu_root: Path, tmp_path: Path) -> None:
    file = pack_of(sysu_root, tmp_path / "pack.npy", splits="train")
    with pytest.raises(FileNotFoundError, match=r"data\.pack: .*none\.npy doesn't exist"):
        manager(sysu_root, pack=str(tmp_path / "none.npy"))
    with pytest.raises(ValueError, match=r"data\.height and data\.width ask for 48 x 16"):
        manager(sysu_root, pack=file, height=48)
    with pytest.raises(ValueError, match=r"data\.augment\.interpolation is bicubic"):
        manager(sysu_root, pack=file, augment=Augmentation(RELEASED, RELEASED, "bicubic"))
    with pytest.raises(ValueError, match=r"cam.*jpg isn't in it"):
        manager(sysu_root, pack=file)  # which has no test images


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({**OURS, "num_instances": 3, "batch_size_train": 12}, r"sampler\.num_instances 3 must be a multiple of 2"),
        ({**OURS, "batch_size_train": 18}, r"train\.batch_size 18 a multiple of it"),
        ({**OURS, "batch_size_train": 800}, "a batch of 200 identities can't be drawn"),
        ({**OURS, "world_size": 3}, "can't be shared equally among 3 processes"),
        (
            {"world_size": 2},
            r"sampler\.train_sampler RandomIdentitySampler gives each of the 2 processes the same images: "
            "choose IdentitySampler or CrossModalSampler",
        ),
        (
            {"train_sampler": "IdentitySampler", "batch_size_train": 18},
            r"batch_size 18 must be a multiple of sampler\.num_i",
        ),
        ({"train_sampler": "IdentitySampler", "world_size": 3}, "can't be shared equally among 3 processes"),
        (
            {"augment": Augmentation(drop_modality=0.5)},
            r"data\.augment\.drop_modality 0\.5: a sample of SYSUMM01 is one i",
        ),
        (
            {"augment": Augmentation(near_infrared=["blur"])},
            r"data\.augment\.near_infrared: this data set has visible, inf",
        ),
        ({"decoder": "pil"}, r"data\.decoder: unknown name 'pil'"),
    ],
)
def test_impossible_settings_are_refused(sysu_root: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        manager(sysu_root, **changes)


class Plain(host.ImageDataset):
    """An ordinary data set, as torchreid's are."""

    def __init__(self, root: str = "", **kwargs: Any) -> None:
        records = [(path.as_posix(), pid, pid) for pid, path in enumerate(sorted(Path(root).rglob("*.jpg"))[:4])]
        super().__init__(records, records, records, **kwargs)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(host._DATASETS, "plain", Plain)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        (OURS, "sampler.train_sampler"),
        ({"augment": BOTH}, "data.augment"),
        ({"augment": Augmentation(aligned=True)}, "data.augment"),
        ({"augment": Augmentation(drop_modality=0.1)}, "data.augment"),
        ({"pack": "pack.npy"}, "data.pack"),
        ({"decoder": "simplejpeg"}, "data.decoder"),
    ],
)
def test_ordinary_data_sets_have_none_of_it(
    sysu_root: Path, registered: None, changes: dict[str, Any], key: str
) -> None:
    with pytest.raises(ValueError, match=rf"^{key}: Plain isn't multi-modal"):
        manager(sysu_root, sources=["plain"], **{"num_instances": 1, "batch_size_train": 4, **changes})


def test_ordinary_data_sets_stay_torchreids(sysu_root: Path, registered: None) -> None:
    settings = {"sources": ["plain"], "num_instances": 1, "batch_size_train": 4}
    ours = manager(sysu_root, **settings, augment=Augmentation([], [], "bilinear"))
    theirs = host.ImageDataManager(**{**BASE, **settings, "root": str(sysu_root)})
    seeded = list(ours.train_loader.batch_sampler)
    ours.set_epoch(0)
    for batch, indices in zip(ours.train_loader, seeded, strict=True):
        with random_state_of(indices.seed):
            expected = default_collate([theirs.train_loader.dataset[index] for index in indices])
        assert torch.equal(batch["img"], expected["img"])
        assert batch["impath"] == expected["impath"]
    assert ours.train_loader.dataset.num_train_pids == 4


def test_random_patch_is_warned_of(sysu_root: Path, caplog: pytest.LogCaptureFixture) -> None:
    manager(sysu_root, transforms=["random_patch"], augment=Augmentation(aligned=True))  # which is harmless here
    assert "random_patch pastes pieces" in caplog.text
    caplog.clear()
    manager(sysu_root, transforms=["random_patch"], augment=BOTH)  # which replaces it everywhere
    manager(sysu_root, transforms=["random_crop"])
    assert "random_patch" not in caplog.text


def test_the_decoder_reads_train_and_test_images(sysu_root: Path) -> None:
    pytest.importorskip("simplejpeg")
    fast, usual = manager(sysu_root, decoder="simplejpeg"), manager(sysu_root)
    assert_same(epoch_of(fast.train_loader), epoch_of(usual.train_loader))
    for data, decoder in ((fast, "simplejpeg"), (usual, "pillow")):
        datasets = [data.train_loader.dataset, *(loader.dataset for loader in data.test_loader["sysu_mm01"].values())]
        assert {dataset.decoder for dataset in datasets} == {decoder}
