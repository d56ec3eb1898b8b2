"""SYSU-MM01 trained on the arrays of the field's preprocessing scripts."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import ToTensor

from promptreid import host
from promptreid.data.packing import files_of, write_pack
from promptreid.datasets.sysu_mm01 import SYSUMM01
from promptreid.models.inputs import UNKNOWN_CAMERA
from promptreid.models.sie import SideInformation

MODALITIES = {"rgb": "visible", "ir": "infrared"}


def load(folder: Path, **kwargs: Any) -> SYSUMM01:
    return SYSUMM01(root=str(folder.parent), transform=ToTensor(), verbose=False, **kwargs)


def write_arrays(folder: Path, size: tuple[int, int] = (36, 18)) -> SYSUMM01:
    """Write what the scripts write of the training images, and remove these; the data set as it was before."""
    before = load(folder)
    for name, modality in MODALITIES.items():
        records = [record for record in before.train if modality in record[0].paths]
        images = [np.asarray(Image.open(str(path)).convert("RGB").resize(size[::-1])) for path, *_ in records]
        np.save(folder / f"train_{name}_resized_img.npy", np.stack(images))
        np.save(folder / f"train_{name}_resized_label.npy", np.array([record[1] for record in records]))
    for path, *_ in before.train:
        shutil.rmtree(Path(path).parent, ignore_errors=True)
    return before


def test_the_same_identities_from_arrays_with_tests_on_images(
    noise_tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = write_arrays(noise_tree)
    with caplog.at_level(logging.WARNING):
        data = load(noise_tree)
        tested = load(noise_tree, mode="query")
    assert caplog.text.count("arrays of a preprocessing script") == 1
    assert "resized to 36 x 18 (height x width) already, and their cameras are unknown" in caplog.text

    def summary(train: list[Any]) -> list[Any]:
        return sorted((pid, *path.paths) for path, pid, *_ in train)

    assert summary(data.train) == summary(before.train)
    assert {(record[0].camera, record[2]) for record in data.train} == {(-1, -1)}
    assert len({str(record[0]) for record in data.train}) == len(data.train)
    assert [str(path) for path, *_ in data.query] == [str(path) for path, *_ in before.query]
    row = len(data.train) - 1
    pixels = np.load(noise_tree / "train_ir_resized_img.npy")[-1]
    item = data[row]["img"]
    assert torch.equal(item["images"][0], ToTensor()(pixels))
    assert (item["camera"].item(), item["modality"].tolist()) == (-1, [1])
    assert tested[0]["img"]["images"].shape == (1, 3, 32, 16)


def test_a_camera_embedding_is_neutral_in_training_and_in_tests(noise_tree: Path) -> None:
    write_arrays(noise_tree)
    manager = host.ImageDataManager(
        root=str(noise_tree.parent), sources="sysu_mm01", targets="sysu_mm01", height=32, width=16, use_gpu=False,
        workers=0, batch_size_train=8, num_instances=4, train_sampler="RandomIdentitySampler",
    )  # fmt: skip
    test = manager.test_loader["sysu_mm01"]["query"]
    seen = {int(camera) for loader in (manager.train_loader, test) for batch in loader
            for camera in batch["img"]["camera"]}  # fmt: skip
    assert seen <= {UNKNOWN_CAMERA, 2, 5}
    table = SideInformation(6, 4)
    neutral = table(torch.tensor([UNKNOWN_CAMERA]))
    torch.testing.assert_close(neutral[0, 0], table.weight * table.table.mean(dim=0))


def test_training_alone_needs_no_image_at_all(noise_tree: Path) -> None:
    write_arrays(noise_tree)
    for camera in noise_tree.glob("cam*"):
        shutil.rmtree(camera)
    data = load(noise_tree)
    assert (len(data.train), list(data.query), list(data.gallery)) == (48, [], [])
    with pytest.raises(ValueError, match=r"no image of identity 7 .* tests need the original images: unpack"):
        load(noise_tree, mode="query")


def test_images_come_before_arrays(noise_tree: Path) -> None:
    aside = shutil.copytree(noise_tree, noise_tree.with_name("aside"))
    write_arrays(noise_tree)
    shutil.copytree(aside, noise_tree, dirs_exist_ok=True)
    shutil.rmtree(aside)
    assert all(path.endswith(".jpg") for path, *_ in load(noise_tree).train)


def edit(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda file: np.save(file, change(np.load(file)))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("rgb_resized_img", edit(lambda a: a.astype(np.float32)), r"float32 of shape \(32, .*; expected uint8"),
        ("rgb_resized_img", edit(lambda a: a[..., 0]), r"uint8 of shape \(32, 36, 18\); expected uint8 images"),
        ("ir_resized_img", edit(lambda a: a[1:]), "expected a whole number for each of the 15 images"),
        ("ir_resized_label", edit(lambda a: a.astype(float)), "float64 of shape .* expected a whole number"),
        ("ir_resized_label", edit(lambda a: a + 1), r"4 labels \(1\.\.4\); expected each of 0\.\.3, one for every"),
        ("rgb_resized_label", edit(lambda a: np.minimum(a, 2)), r"3 labels \(0\.\.2\); expected each of 0\.\.3"),
        ("rgb_resized_img", lambda f: f.write_bytes(f.read_bytes()[:-5]), r"not a whole \.npy file of numbers"),
        ("rgb_resized_label", lambda f: f.write_bytes(b""), r"not a whole \.npy file of numbers"),
        ("rgb_resized_label", lambda f: np.save(f, np.array([{}], dtype=object)), "Python objects"),
    ],
)  # fmt: skip
def test_arrays_of_something_else_are_named(
    name: str, change: Callable[[Path], None], message: str, noise_tree: Path
) -> None:
    write_arrays(noise_tree)
    change(noise_tree / f"train_{name}.npy")
    with pytest.raises(ValueError, match=rf"train_(rgb|ir)_resized_(img|label)\.npy: .*{message}"):
        load(noise_tree)


def test_three_of_four_arrays_are_not_enough(noise_tree: Path) -> None:
    write_arrays(noise_tree)
    (noise_tree / "train_ir_resized_label.npy").unlink()
    with pytest.raises(ValueError, match=r"no image of identity 1 .* two arrays of labels and exp are beside them"):
        load(noise_tree)


def test_arrays_are_not_packed(noise_tree: Path) -> None:
    write_arrays(noise_tree)
    files = files_of(load(noise_tree).train)
    with pytest.raises(ValueError, match=r"img\.npy#0 is in an array, .*; train without data\.pack"):
        write_pack(noise_tree / "p.npy", noise_tree, files, 32, 16, "bilinear")
