"""Bad files are found, whichever way they are bad; the manifest changes with the files and with nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from damaged import FILES
from PIL import Image

from promptreid.datasets import integrity
from promptreid.datasets.integrity import find_bad_images, manifest, narrow_images, odd_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six good images, 32 x 32 pixels of noise, in two formats."""
    for n in range(6):
        pixels = np.random.default_rng(n).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        path = tmp_path / "images" / str(n % 2) / f"{n}.{'bmp' if n % 2 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "images"


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.*"))


@pytest.mark.parametrize("decode", [False, True])
def test_good_images(folder: Path, decode: bool) -> None:
    assert find_bad_images(files(folder), decode) == []


@pytest.mark.parametrize("decode", [False, True])
def test_every_kind_of_bad_file_is_named_once(folder: Path, decode: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = files(folder)
    paths[0].write_bytes(b"")
    paths[1].write_bytes(b"<html>not found</html>")
    paths[2].unlink()
    Image.new("RGB", (300, 200)).save(paths[3])
    monkeypatch.setattr("promptreid.data.images.MAX_PIXELS", 50_000)
    problems = find_bad_images(paths, decode)
    assert len(problems) == 4
    for path, problem in zip(paths, problems, strict=False):
        assert problem.count(str(path)) >= 1


def test_a_truncated_image_needs_decoding(folder: Path) -> None:
    path = folder / "0" / "0.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    assert find_bad_images([path]) == []
    assert str(path) in find_bad_images([path], decode=True)[0]


def test_order_is_kept_over_batches_and_workers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "_BATCH", 2)
    paths = files(folder)
    for path in paths:
        path.write_bytes(b"")
    assert [problem.split(":")[0] for problem in find_bad_images(paths, workers=3)] == [str(path) for path in paths]


def test_16_bit_images_of_few_levels_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert narrow_images(files(folder)) == []
    for n, high in enumerate((7300, 7400, 30000)):
        levels = np.random.default_rng(n).integers(7000, high, (8, 8)).astype(np.uint16)
        Image.fromarray(levels).save(folder / f"raw{n}.png")
    (folder / "raw9.png").write_text("broken")
    paths = files(folder)
    (text,) = narrow_images(paths)
    assert "raw0.png: a 16-bit image of the levels 70" in text
    assert text.endswith("(2 of the 3 16-bit images looked at are such)")
    monkeypatch.setattr(integrity, "_PROBES", 2)
    assert len(paths) == 10
    assert narrow_images(paths) == []  # a jpg and a bmp
    assert narrow_images(paths, decode=True) == [text]


def test_turned_images_and_those_of_several_frames_are_told(folder: Path, tmp_path: Path) -> None:
    assert odd_images(files(folder)) == []
    for name in ("jpeg", "png", "animated webp"):
        (folder / f"z-{name}.jpg").write_bytes(FILES[name])
    (folder / "y.jpg").write_text("broken")
    turned, framed = odd_images(files(folder), decode=True)
    assert "z-jpeg.jpg: the file asks to be shown turned" in turned
    assert turned.endswith("(2 of the 10 images looked at are such)")
    assert "z-animated webp.jpg: the file holds several frames" in framed


def test_manifest_golden_value(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"12")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.txt").write_bytes(b"")
    paths = [tmp_path / "b" / "c.txt", tmp_path / "a.txt"]
    # printf 'a.txt\t2\nb/c.txt\t0\n' | sha256sum
    assert manifest(tmp_path, paths) == GOLDEN
    assert manifest(tmp_path, paths, content=True) == GOLDEN_CONTENT


@pytest.mark.parametrize("content", [False, True])
def test_manifest_ignores_place_and_order(folder: Path, tmp_path: Path, content: bool) -> None:
    shutil.copytree(folder, tmp_path / "elsewhere")
    first = manifest(folder, files(folder), content)
    assert first == manifest(tmp_path / "elsewhere", [*files(tmp_path / "elsewhere")[::-1]], content, workers=1)
    assert first == manifest(folder, [*files(folder), files(folder)[0]], content)


def test_manifest_sees_names_sizes_and_on_request_contents(folder: Path) -> None:
    before = [manifest(folder, files(folder), content) for content in (False, True)]
    path = folder / "0" / "0.jpg"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert manifest(folder, files(folder)) == before[0]
    assert manifest(folder, files(folder), content=True) != before[1]
    path.write_bytes(data + b"x")
    assert manifest(folder, files(folder)) != before[0]
    path.write_bytes(data)
    path.rename(path.with_name("9.jpg"))
    assert manifest(folder, files(folder)) != before[0]


GOLDEN = "f091cbd34e04a11aa0c90bde188b763fbc58d7523b7437042374a412cb100f1d"
GOLDEN_CONTENT = "c7c046a012fd447968176803defa63fafdd0b23e903c0d0b56296a541c039da2"
