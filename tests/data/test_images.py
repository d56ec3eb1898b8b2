"""Image reading ends, and says which file is bad."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from promptreid.data import images
from promptreid.data.images import read_image


def jpeg(path: Path, height: int = 40, width: int = 20) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="JPEG")
    return path


def test_reads_rgb(tmp_path: Path) -> None:
    image = read_image(str(jpeg(tmp_path / "a.jpg")))
    assert (image.mode, image.size) == ("RGB", (20, 40))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"b\.jpg: no such image"):
        read_image(str(tmp_path / "b.jpg"))


def test_truncated_file_is_named_at_once(tmp_path: Path) -> None:
    path = jpeg(tmp_path / "half.jpg")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"half\.jpg: cannot be decoded .*(?i:truncated)"):
        read_image(str(path))


def test_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(ValueError, match=r"text\.jpg: not an image"):
        read_image(str(tmp_path / "text.jpg"))


def test_huge_image_is_refused_before_decoding(tmp_path: Path) -> None:
    Image.new("1", (8000, 4000)).save(tmp_path / "huge.png")
    with pytest.raises(ValueError, match="8000 x 4000 pixels"):
        read_image(str(tmp_path / "huge.png"))


def test_read_errors_are_tried_again_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def flaky(path: str) -> Image.Image:
        calls.append(path)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(images, "_decode", flaky)
    monkeypatch.setattr(images.time, "sleep", lambda seconds: None)
    with pytest.raises(ValueError, match="Input/output error"):
        read_image("x.jpg")
    assert len(calls) == 3
