"""The data manager with RGB + NIR + TIR data: chains, alignment, missing modalities, its sampler."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from triple_sets import NAMES, Pairs, Triples, register, write_triples

from promptreid import host
from promptreid.data.batch import PathBundle
from promptreid.data.manager import ModalDataManager
from promptreid.data.packing import files_of, write_pack
from promptreid.data.transforms import Augmentation, ImageSettings, build_chain

GEOMETRY = ("random_flip", "pad_crop")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    register(monkeypatch, triples=Triples, pairs=Pairs)
    return write_triples(tmp_path)


def manager(root: Path, **changes: Any) -> ModalDataManager:
    common = {"sources": ["triples"], "height": 24, "width": 12, "transforms": [], "norm_mean": [0.0] * 3,
              "norm_std": [1.0] * 3, "use_gpu": False, "batch_size_train": 6, "num_instances": 3, "workers": 0,
              "train_sampler": "IdentitySampler"}  # fmt: skip
    return ModalDataManager(**{**common, "root": str(root), **changes})


def images_of(data: ModalDataManager) -> torch.Tensor:
    """Every image of an epoch, (B, M, 3, H, W)."""
    return torch.cat([batch["img"]["images"] for batch in data.train_loader])


def test_the_identity_sampler_by_name(root: Path) -> None:
    data = manager(root)
    batches = list(data.train_loader)
    assert len(batches) == len(data.train_loader) > 1
    for batch in batches:
        assert batch["img"].size() == (6, 3, 3, 24, 12)
        assert sorted(Counter(batch["pid"].tolist()).values()) == [3, 3]


def test_other_samplers_take_triples_too(root: Path) -> None:
    for sampler in ("RandomIdentitySampler", "RandomSampler", "SequentialSampler", "RandomDomainSampler"):
        batch = next(iter(manager(root, train_sampler=sampler).train_loader))
        assert batch["img"].size() == (6, 3, 3, 24, 12)


def test_each_modality_may_have_its_chain(root: Path) -> None:
    grey, plain = ["channel_exchange"], ["normalize"]

    def grey_ones(**chains: Any) -> list[bool]:
        images = images_of(manager(root, augment=Augmentation(**chains)))
        return [bool((images[:, m, :1] == images[:, m]).all()) for m in range(3)]

    assert grey_ones(infrared=grey) == [False, True, True]
    assert grey_ones(near_infrared=grey) == [False, True, False]
    assert grey_ones(thermal_infrared=grey) == [False, False, True]
    assert grey_ones(visible=grey, thermal_infrared=grey, infrared=plain) == [True, False, True]
    assert grey_ones(infrared=grey, near_infrared=plain) == [False, False, True]


@pytest.mark.parametrize("chains", [{"visible": GEOMETRY, "infrared": GEOMETRY}, {}], ids=["ours", "torchreid's"])
def test_images_are_moved_alike_if_asked(root: Path, chains: dict[str, Any]) -> None:
    def moves(aligned: bool) -> list[bool]:
        data = manager(root, transforms=["random_flip", "random_crop"], augment=Augmentation(**chains, aligned=aligned))
        dataset = data.train_loader.dataset  # here of the same image three times
        dataset.data = [(PathBundle(dict.fromkeys(NAMES, str(path))), *rest) for path, *rest in dataset.data]
        images = images_of(data)
        return [torch.equal(sample[0], sample[1]) and torch.equal(sample[1], sample[2]) for sample in images]

    assert all(moves(True))
    assert sum(moves(False)) < 8


def test_modalities_are_dropped_in_training_alone(root: Path) -> None:
    data = manager(root, augment=Augmentation(drop_modality=0.4))
    present = torch.cat([batch["img"]["present"] for batch in data.train_loader])
    images = images_of(manager(root, augment=Augmentation(drop_modality=0.4)))
    assert torch.equal(images.flatten(2).any(2), present)
    assert present.any(1).all()
    assert 0.3 < float(present.float().mean()) < 0.9
    assert all(batch["img"]["present"].all() for batch in data.test_loader["triples"]["query"])


def test_a_pack_of_triples_changes_no_byte(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = manager(root)
    write_pack(tmp_path / "p.npy", root, files_of(usual.train_loader.dataset.data), 24, 12, "bilinear")
    packed = manager(root, pack=str(tmp_path / "p.npy"))
    expected = images_of(usual)
    monkeypatch.setattr("promptreid.data.dataset.read_images", None)
    assert torch.equal(images_of(packed), expected)


def test_the_filter_needs_a_chain_for_every_modality(root: Path) -> None:
    chains = {"visible": GEOMETRY, "near_infrared": GEOMETRY, "interpolation": "bicubic"}
    with pytest.raises(
        ValueError, match=r"interpolation bicubic: .* no key names a chain for thermal_infrared; set one"
    ):
        manager(root, augment=Augmentation(**chains))
    complete = manager(root, augment=Augmentation(**chains, thermal_infrared=GEOMETRY))
    assert set(complete.train_loader.dataset.transforms) == set(NAMES)
    pairs = manager(root, sources=["pairs"], augment=Augmentation(**chains))
    assert images_of(pairs).shape[1:] == (2, 3, 24, 12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_sampler": "CrossModalSampler"}, "Triples has all modalities in each .* choose IdentitySampler"),
        ({"augment": Augmentation(second_visible=True)}, r"data\.augment\.second_visible True: .* set it to False"),
        ({"augment": Augmentation(thermal_infrared=["blur"]), "sources": ["pairs"]},
         r"data\.augment\.thermal_infrared: this data set has visible, near_infrared images only; leave this"),
        ({"augment": Augmentation(near_infrared=["blurr"])}, r"augment\.near_infrared: unknown transform 'blurr'"),
        ({"augment": Augmentation(aligned=True), "transforms": ["random_patch"]}, "random_patch .* take it out of"),
        ({"batch_size_train": 7}, r"train\.batch_size 7 must be a multiple of sampler\.num_instances 3"),
        ({"batch_size_train": 21}, "a batch of 7 identities can't be drawn: the train set has 6"),
        ({"train_sampler": "RandomSampler", "world_size": 2}, "choose IdentitySampler or CrossModalSampler"),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(root: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        manager(root, **changes)


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_a_probability_out_of_range_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match=r"data\.augment\.drop_modality .* must be at least 0 and below 1"):
        Augmentation(drop_modality=p)


def test_one_modality_has_no_infrared_chain() -> None:
    settings = ImageSettings(8, 8, [0.5] * 3, [0.5] * 3)
    with pytest.raises(ValueError, match=r"data\.augment\.infrared: visible is the only modality"):
        Augmentation(infrared=["blur"]).chains(["visible"], settings)
    assert set(Augmentation(visible=["blur"]).chains(["visible"], settings)) == {"visible"}


def test_the_settings_are_asked_for_one_by_one() -> None:
    assert not Augmentation().asked
    assert not Augmentation(visible=[], infrared=[], near_infrared=[], thermal_infrared=[]).asked
    chains = {key: ["blur"] for key in ("visible", "infrared", "near_infrared", "thermal_infrared")}
    for name, value in {**chains, "aligned": True, "drop_modality": 0.1, "second_visible": True}.items():
        assert Augmentation(**{name: value}).asked


def test_test_images_are_not_augmented(root: Path) -> None:
    augment = Augmentation(visible=GEOMETRY, infrared=GEOMETRY, aligned=True)
    query = manager(root, augment=augment).test_loader["triples"]["query"].dataset
    chain = build_chain([], ImageSettings(24, 12, [0.0] * 3, [1.0] * 3))
    plain = host.data.datasets.init_image_dataset(
        "triples", root=str(root), transform=chain, mode="query", verbose=False
    )
    assert all(torch.equal(query[i]["img"]["images"], plain[i]["img"]["images"]) for i in range(0, 30, 7))
