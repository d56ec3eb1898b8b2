"""Images in arrays, named by paths."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from promptreid.data import arrays
from promptreid.data.batch import PathBundle
from promptreid.data.images import levels_16bit, read_image, read_images


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3), dtype=np.uint8))
    return tmp_path / "images.npy"


def test_a_row_is_read_as_an_image_of_its_own(file: Path) -> None:
    paths = [arrays.row(str(file), number) for number in (2, 0, 2)]
    images = read_images(paths)
    for path, image in zip((2, 0, 2), images, strict=True):
        np.testing.assert_array_equal(np.asarray(image), np.load(file)[path])
    images[0].putpixel((0, 0), (1, 2, 3))
    np.testing.assert_array_equal(np.asarray(images[2]), np.load(file)[2])
    assert levels_16bit(paths[0]) is None


def test_a_bundle_keeps_rows_apart(file: Path) -> None:
    bundles = [PathBundle({"visible": arrays.row(str(file), number)}) for number in (0, 1)]
    assert bundles[0] != bundles[1]
    assert pickle.loads(pickle.dumps(bundles[1])).paths == {"visible": f"{file}#1"}


def test_what_is_no_row(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"images\.npy#3: the array has 3 images, counted from 0"):
        read_image(f"{file}#3")
    with pytest.raises(FileNotFoundError, match=r"gone\.npy: no such array"):
        read_image(str(tmp_path / "gone.npy#0"))
    with pytest.raises(ValueError, match="not the path of an image in an array"):
        arrays.read_row(str(file))
    for path in ("a.npy", "a.npy#x", "a.jpg#1", "a.jpg#1/3"):
        assert not arrays.names_row(path)
