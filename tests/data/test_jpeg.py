"""The faster decoder gives Pillow's pixels, and leaves to Pillow what isn't an ordinary JPEG file."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from promptreid.data import images, jpeg
from promptreid.data.images import DECODERS, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 7, 3), dtype=np.uint8).repeat(9, axis=0).repeat(7, axis=1)


def same(first: Image.Image, second: Image.Image) -> bool:
    return first.mode == second.mode and np.array_equal(np.asarray(first), np.asarray(second))


def save(path: Path, **settings: object) -> str:
    Image.fromarray(PIXELS[:-3, :-2]).save(path, format="JPEG", **settings)
    return str(path)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("settings", [{"quality": 75}, {"quality": 95, "progressive": True}], ids=["75", "progressive"])
def test_pixels_are_pillows(tmp_path: Path, subsampling: int, settings: dict[str, object]) -> None:
    pytest.importorskip("simplejpeg")
    path = save(tmp_path / "a.jpg", subsampling=subsampling, **settings)
    image = read_image(path, "simplejpeg")
    assert image.mode == "RGB"
    assert same(image, read_image(path))


def test_grey_files_become_rgb(tmp_path: Path) -> None:
    pytest.importorskip("simplejpeg")
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / "grey.jpg")
    image = read_image(str(tmp_path / "grey.jpg"), "simplejpeg")
    assert same(image, read_image(str(tmp_path / "grey.jpg")))
    assert image.mode == "RGB"


def test_it_decodes_what_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg")
    path = save(tmp_path / "a.jpg")
    monkeypatch.setattr(images.Image, "open", None)
    assert read_image(path, "simplejpeg").size == (47, 87)


def test_the_rest_is_pillows(tmp_path: Path) -> None:
    pytest.importorskip("simplejpeg")
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    Image.fromarray(PIXELS).convert("CMYK").save(tmp_path / "cmyk.jpg")
    for name in ("a.png", "cmyk.jpg"):
        assert same(read_image(str(tmp_path / name), "simplejpeg"), read_image(str(tmp_path / name)))
    whole = Path(save(tmp_path / "whole.jpg")).read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"half\.jpg: cannot be decoded .*(?i:truncated)"):
        read_image(str(tmp_path / "half.jpg"), "simplejpeg")
    (tmp_path / "text.jpg").write_bytes(b"\xff\xd8 no image")
    with pytest.raises(ValueError, match=r"text\.jpg: "):
        read_image(str(tmp_path / "text.jpg"), "simplejpeg")


def test_a_huge_file_is_left_alone() -> None:
    pytest.importorskip("simplejpeg")
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG")
    assert jpeg.decode(file.getvalue(), PIXELS.shape[0] * PIXELS.shape[1]) is not None
    assert jpeg.decode(file.getvalue(), PIXELS.shape[0] * PIXELS.shape[1] - 1) is None


def test_without_the_package_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"data\.decoder simplejpeg needs the package .*set data\.decoder pillow"
    ):
        jpeg.check_installed()


def test_the_configuration_has_the_same_names() -> None:
    from promptreid.config.own_keys import DECODERS as NAMES

    assert NAMES == DECODERS
