"""Samples of several modalities: missing ones, dropped ones, aligned ones."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate
from triple_sets import NAMES, Pairs, Plain, Triples, write_triples

from promptreid import host
from promptreid.data.batch import ModalBatch, PathBundle
from promptreid.data.dataset import ModalDataset
from promptreid.data.images import read_image
from promptreid.data.seeding import SeededBatch
from promptreid.data.strips import part
from promptreid.data.transforms import ImageSettings, build_chain

CHAIN = build_chain([], ImageSettings(24, 12, [0.5] * 3, [0.5] * 3))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_triples(tmp_path_factory.mktemp("triples")))


def triples(root: str, **changes: Any) -> Triples:
    return Triples(root, **{"transform": CHAIN, "verbose": False, **changes})


def test_a_sample_has_its_modalities_in_order(root: str) -> None:
    dataset = triples(root)
    path, pid, camid, _ = dataset.data[7]
    item = dataset[7]
    assert (item["pid"], item["camid"], item["impath"]) == (pid, camid, path)
    sample = item["img"]
    assert type(sample) is ModalBatch
    assert sample["modality"].tolist() == [0, 1, 2]
    assert sample["present"].tolist() == [True] * 3
    assert int(sample["camera"]) == path.camera
    for image, name in zip(sample["images"], NAMES, strict=True):
        assert torch.equal(image, CHAIN(read_image(path.paths[name])))


def test_a_missing_modality_is_zeros(root: str) -> None:
    dataset = triples(root, incomplete="keep")
    found = set()
    for index, (path, *_) in enumerate(dataset.data):
        sample = dataset[index]["img"]
        present = [path.paths[name] is not None for name in NAMES]
        found.add(tuple(present))
        assert sample["present"].tolist() == present
        assert [bool(image.any()) for image in sample["images"]] == present
        assert sample["modality"].tolist() == [0, 1, 2]
    assert len(found) == 4
    assert default_collate([dataset[0], dataset[1]])["img"].size() == (2, 3, 3, 24, 12)


def test_without_a_transform_the_pictures_come(root: str) -> None:
    dataset = triples(root, incomplete="keep", transform=None)
    pictures = dataset[0]["img"]
    assert list(pictures) == list(NAMES)
    assert pictures["visible"] is None
    assert pictures["near_infrared"].mode == "RGB"


def test_a_strip_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from promptreid.data import images

    pixels = np.random.default_rng(0).integers(0, 256, (128, 768, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "s.png")
    bundle = PathBundle({name: part(str(tmp_path / "s.png"), i, 3) for i, name in enumerate(NAMES, start=1)}, 1)

    class Strips(ModalDataset):
        modalities, images_per_sample = NAMES, 3

    records = [(bundle, 0, 0)]
    opened, decode = [], images._decode
    monkeypatch.setattr(images, "_decode", lambda *a: opened.append(a) or decode(*a))
    item = Strips(records, records, records, transform=CHAIN, verbose=False)[0]
    assert len(opened) == 1
    assert item["impath"] == str(tmp_path / "s.png")
    for i, image in enumerate(item["img"]["images"]):
        assert torch.equal(image, CHAIN(Image.fromarray(pixels[:, 256 * i : 256 * (i + 1)])))


def test_dropped_modalities_are_missing_and_not_even_read(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from promptreid.data import dataset as module

    dataset = triples(root, incomplete="keep")
    dataset.drop_modality = 0.5
    read, reader = [], module.read_images
    monkeypatch.setattr(module, "read_images", lambda files, *how: read.append(files) or reader(files, *how))
    torch.manual_seed(0)
    counts = [0, 0, 0]
    for index, (path, *_) in enumerate(dataset.data * 5):
        present = dataset[index % len(dataset)]["img"]["present"].tolist()
        assert read.pop() == [path.paths[name] for name, is_there in zip(NAMES, present, strict=True) if is_there]
        assert not any(p and path.paths[name] is None for p, name in zip(present, NAMES, strict=True))
        counts[sum(present) - 1] += 1
    assert min(counts) > 10


def test_nothing_is_dropped_in_tests(root: str) -> None:
    dataset = triples(root, mode="query")
    dataset.drop_modality = 0.9
    assert all(dataset[index]["img"]["present"].all() for index in range(len(dataset)))


def test_dropping_and_aligning_follow_the_seed_of_the_batch(root: str) -> None:
    dataset = triples(root, transform=build_chain(["pad_crop"], ImageSettings(24, 12, [0.5] * 3, [0.5] * 3)))
    dataset.drop_modality, dataset.aligned = 0.3, True
    batch = list(range(20))
    torch.manual_seed(1)
    first, other = (default_collate(dataset.__getitems__(SeededBatch(batch, seed)))["img"] for seed in (3, 4))
    torch.manual_seed(2)
    again = default_collate(dataset.__getitems__(SeededBatch(batch, 3)))["img"]
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["present"], other["present"])
    assert not torch.equal(first["images"], other["images"])


@pytest.mark.parametrize("aligned", [True, False])
def test_the_images_of_a_sample_are_cropped_alike_if_asked(root: str, aligned: bool) -> None:
    dataset = triples(root, transform=build_chain(["pad_crop"], ImageSettings(24, 12, [0.0] * 3, [1.0] * 3)))
    dataset.aligned = aligned
    torch.manual_seed(0)
    borders = [(dataset[index]["img"]["images"].amax(1) == 0) for index in range(len(dataset))]  # from the padding
    same = [bool((border == border[0]).all()) for border in borders]
    assert all(same) if aligned else sum(same) < 5
    assert len({border[0].numpy().tobytes() for border in borders}) > 20


def test_aligning_changes_nothing_where_a_sample_is_one_image(sysu_root: Path) -> None:
    chain = build_chain(["random_flip", "pad_crop"], ImageSettings(24, 12, [0.5] * 3, [0.5] * 3))
    dataset = host.data.datasets.init_image_dataset("sysu_mm01", root=str(sysu_root), transform=chain, verbose=False)
    batch = SeededBatch(range(8), 5)
    plain = default_collate(dataset.__getitems__(batch))["img"]["images"]
    dataset.aligned = True
    assert torch.equal(default_collate(dataset.__getitems__(batch))["img"]["images"], plain)


def test_a_data_set_of_torchreids_joins_with_its_others_missing(root: str) -> None:
    both = triples(root) + Plain(root, verbose=False)
    assert len(both) == 60
    sample = both[45]["img"]
    assert sample["present"].tolist() == [True, False, False]
    assert sample.size() == (3, 3, 24, 12)
    assert torch.equal(sample["images"][0], triples(root)[15]["img"]["images"][0])


def test_other_modalities_do_not_join(root: str, sysu_root: Path) -> None:
    assert len(triples(root) + triples(root)) == 60
    with pytest.raises(ValueError, match=r"data\.sources: a sample of Triples has 3 of visible, .* one of Pairs 2 of"):
        triples(root) + Pairs(root, verbose=False)
    sysu = host.data.datasets.init_image_dataset("sysu_mm01", root=str(sysu_root), verbose=False)
    with pytest.raises(ValueError, match=r"one of SYSUMM01 1 of visible, infrared; train on one of them"):
        triples(root) + sysu


@pytest.mark.parametrize(
    "paths", [{"visible": "a"}, dict.fromkeys(NAMES[::-1], "a"), dict.fromkeys((*NAMES, "x"), "a")]
)
def test_a_sample_has_all_keys_of_the_table(paths: dict[str, str]) -> None:
    class Wrong(ModalDataset):
        modalities, images_per_sample = NAMES, 3

    good, bad = [(PathBundle(dict.fromkeys(NAMES, "a")), 0, 0)], [(PathBundle(paths), 0, 0)]
    with pytest.raises(
        ValueError, match=r"Wrong: the sample of a has the modalities .* expected \(visible, near_infrared, t"
    ):
        Wrong(good, good, bad, verbose=False)
    with pytest.raises(ValueError, match=r"has the modalities \(\); expected"):
        Wrong(good, [("a", 0, 0)], good, verbose=False)


def test_the_summary_counts_incomplete_samples(root: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        Triples(root, incomplete="keep")
    train = caplog.messages[0]
    assert "20 visible+near_infrared+thermal_infrared" in train
    assert "near_infrared+thermal_infrared," in train


def test_a_broken_file_is_named(root: str, tmp_path: Path) -> None:
    write_triples(tmp_path)
    broken = sorted((tmp_path / "near_infrared").iterdir())[3]
    broken.write_bytes(broken.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"near_infrared/0_3\.png: cannot be decoded"):
        triples(str(tmp_path))[3]
    broken.unlink()
    with pytest.raises(FileNotFoundError, match=r"near_infrared/0_3\.png: no such image"):
        triples(str(tmp_path))[3]
