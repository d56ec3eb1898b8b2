"""The same batches for any number of workers, and an epoch that goes on in its middle."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from triple_sets import Plain, Triples, register, write_triples

from promptreid import host
from promptreid.data.batch import ModalBatch
from promptreid.data.manager import ModalDataManager
from promptreid.data.transforms import Augmentation

CHAINS = Augmentation(
    visible=["random_flip", "pad_crop", "jitter", "pixel_erase"], infrared=["pad_crop"], aligned=True, drop_modality=0.2
)
# Each with its data set, sampler and augmentation.
CASES: dict[str, dict[str, Any]] = {
    "triples": {"sources": "triples", "train_sampler": "IdentitySampler", "augment": CHAINS},
    "triples, torchreid's sampler": {"sources": "triples", "train_sampler": "RandomIdentitySampler"},
    "torchreid's": {"sources": "plain", "train_sampler": "RandomSampler"},
    "cross-modal": {
        "sources": "sysu_mm01",
        "train_sampler": "CrossModalSampler",
        "batch_size_train": 8,
        "num_instances": 4,
    },
}
CASES["cross-modal, amplitudes"] = {**CASES["cross-modal"], "augment": Augmentation(amplitude_swap=0.5)}
CASES["triples, amplitudes"] = {**CASES["triples"], "augment": replace(CHAINS, amplitude_swap=0.5)}


@pytest.fixture(scope="module")
def triples_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_triples(tmp_path_factory.mktemp("triples"))


@pytest.fixture(params=CASES.values(), ids=CASES)
def settings(
    request: pytest.FixtureRequest, triples_root: Path, noise_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    register(monkeypatch, triples=Triples)
    monkeypatch.setitem(host._DATASETS, "plain", Plain)
    return {
        **request.param,
        "root": str(noise_tree.parent if request.param["sources"] == "sysu_mm01" else triples_root),
    }


def manager(settings: dict[str, Any], **changes: Any) -> ModalDataManager:
    common = {"height": 24, "width": 12, "transforms": ["random_flip", "random_crop", "random_erase", "color_jitter"],
              "use_gpu": False, "batch_size_train": 4, "num_instances": 2, "workers": 0, "seed": 5}  # fmt: skip
    return ModalDataManager(**{**common, **settings, **changes})


def epoch_of(data: ModalDataManager, epoch: int, start: int = 0, noise: int = 0) -> list[dict[str, Any]]:
    """The rest of an epoch, under whatever random state; it must not matter."""
    random.seed(noise), np.random.seed(noise), torch.manual_seed(noise)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    data.set_epoch(epoch, start)
    batches = list(data.train_loader)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
    return batches


def content(batch: dict[str, Any]) -> tuple[Any, ...]:
    image = batch["img"]
    tensors = [image["images"], image["present"]] if isinstance(image, ModalBatch) else [image]
    return batch["impath"], batch["pid"].tolist(), *(tensor.numpy().tobytes() for tensor in tensors)


def contents(batches: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return list(map(content, batches))


def test_an_epoch_goes_on_as_if_it_had_not_stopped(settings: dict[str, Any]) -> None:
    first = manager(settings)
    epochs = [contents(epoch_of(first, epoch, noise=epoch)) for epoch in (0, 1)]
    assert len(epochs[0]) > 5
    assert epochs[0] != epochs[1]
    other = manager(settings)
    for start in (2, len(epochs[1]) - 1, len(epochs[1]), 0):
        assert contents(epoch_of(other, 1, start, noise=9 + start)) == epochs[1][start:]
        assert len(other.train_loader) == len(epochs[1])
    assert contents(epoch_of(manager(settings, seed=6), 1)) != epochs[1]


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_change_nothing(settings: dict[str, Any], persistent: bool) -> None:
    alone = manager(settings)
    shared = manager(settings, workers=2, persistent_workers=persistent)
    for epoch, start in ((0, 0), (1, 3)):
        expected = contents(epoch_of(alone, epoch, noise=1))[start:]
        assert contents(epoch_of(shared, epoch, start, noise=2)) == expected
    assert (shared.train_loader._iterator is not None) is persistent


def test_the_skipped_batches_are_not_read(triples_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from promptreid.data import dataset as module

    register(monkeypatch, triples=Triples)
    data = manager({**CASES["triples"], "root": str(triples_root)})
    reader, read = module.read_images, []
    monkeypatch.setattr(module, "read_images", lambda files, *how: read.append(files) or reader(files, *how))
    tail = epoch_of(data, 0, start=len(data.train_loader) - 2)
    assert len(read) == sum(len(batch["pid"]) for batch in tail) == 8


def test_an_epoch_has_no_such_batch(settings: dict[str, Any]) -> None:
    data = manager(settings)
    with pytest.raises(ValueError, match=r"epoch 0 has \d+ batches, so it can't go on with number 999"):
        data.set_epoch(0, 999)


def test_processes_share_the_batches_of_triples_and_augment_apart(
    triples_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, triples=Triples)
    settings = {**CASES["triples"], "root": str(triples_root)}
    whole = epoch_of(manager(settings), 1)
    processes = [manager(settings, rank=rank, world_size=2) for rank in (0, 1)]
    shares = [epoch_of(data, 1) for data in processes]
    seeds = [{batch.seed for batch in data.train_loader.batch_sampler} for data in processes]
    assert len(seeds[0]) > 3
    assert not seeds[0] & seeds[1]
    assert len(whole) == len(shares[0]) == len(shares[1])
    for batch, *parts in zip(whole, *shares, strict=True):
        assert [path for share in parts for path in share["impath"]] == batch["impath"]
        assert not torch.equal(parts[0]["img"]["images"], parts[1]["img"]["images"])


def test_torchreids_engine_which_announces_no_epoch_gets_another_one_each_time(settings: dict[str, Any]) -> None:
    data = manager(settings)
    unannounced = [contents(list(data.train_loader)) for _ in range(2)]
    assert unannounced == [contents(epoch_of(manager(settings), epoch)) for epoch in (0, 1)]
