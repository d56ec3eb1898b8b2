"""Image reading ends, and says which file is bad."""

from __future__ import annotations

import re
import struct
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from damaged import FILES, PIXELS, bomb, damage
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

import promptreid
from promptreid.data import images
from promptreid.data.image_files import ImageError
from promptreid.data.images import (
    DECODERS,
    image_size,
    levels_16bit,
    oddities_in,
    read_image,
    read_images,
    read_in_turn,
)
from promptreid.data.strips import part


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
    Image.new("1", (8001, 4000)).save(tmp_path / "huge.png")
    with pytest.raises(ValueError, match=r"huge\.png: 8001 x 4000 pixels; the limit for a crop is 32000000"):
        read_image(str(tmp_path / "huge.png"))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(data=st.data())
@settings(max_examples=25)
def test_a_damaged_file_is_an_image_or_an_error_with_its_path(name: str, decoder: str, data: st.DataObject) -> None:
    content = data.draw(damage(FILES[name]))
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(content)
        file.flush()
        started = time.monotonic()
        for read in (lambda path: read_image(path, decoder), image_size, levels_16bit, oddities_in):
            try:
                found = read(file.name)
            except ImageError as error:
                assert str(error).startswith(f"{file.name}: ")
            else:
                assert not isinstance(found, Image.Image) or (found.mode == "RGB" and found.tobytes())
        assert time.monotonic() - started < 10


@pytest.mark.parametrize("format", images.FORMATS)
def test_a_decompression_bomb_is_refused_by_its_header(format: str, tmp_path: Path) -> None:
    (tmp_path / "bomb.jpg").write_bytes(bomb(format))
    for read in (read_image, image_size, levels_16bit):
        with pytest.raises(ImageError, match=r"bomb\.jpg: .* pixels.*; the limit for a crop is 32000000"):
            read(str(tmp_path / "bomb.jpg"))


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_jpeg_file_of_very_many_scans_is_refused(decoder: str, tmp_path: Path) -> None:
    """Each costs as long as an image, and 50 bytes."""
    whole = FILES["progressive jpeg"]
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    for count, allowed in ((3, True), (images.MAX_SCANS, False)):
        path = tmp_path / f"{count}.jpg"
        path.write_bytes(whole[:-2] + count * scan + whole[-2:])
        if allowed:
            assert read_image(str(path), decoder).size == (20, 30)
        else:
            with pytest.raises(ImageError, match=r"100\.jpg: a JPEG file of more than 100 scans"):
                read_image(str(path), decoder)


def test_what_a_file_holds_counts_and_not_its_suffix(tmp_path: Path) -> None:
    for name, content in FILES.items():
        path = tmp_path / ("a.bmp" if name == "png" else "a.png")
        path.write_bytes(content)
        assert read_image(str(path)).size == (20, 30)


def test_cmyk_and_palettes_look_like_what_they_were_made_of(tmp_path: Path) -> None:
    for name in ("cmyk jpeg", "palette png"):
        (tmp_path / "a.img").write_bytes(FILES[name])
        close = np.abs(np.asarray(read_image(str(tmp_path / "a.img"))).astype(int) - PIXELS)
        assert close.mean() < 20  # a negative is 80 and more


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1)])
def test_images_of_one_row_or_column(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, (9, 8, 7)).save(tmp_path / "thin.png")
    image = read_image(str(tmp_path / "thin.png"))
    assert image.size == size and image.getpixel((0, 0)) == (9, 8, 7)


def test_halves_of_images_are_never_let_through() -> None:
    """One careless import could switch it on for the whole process."""
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    found = [path for path in Path(promptreid.__file__).parent.rglob("*.py") if "LOAD_TRUNCATED" in path.read_text()]
    assert found == []


def test_all_readers_share_one_function() -> None:
    """Pillow's own ``Image.open`` is called in one place."""
    package = Path(promptreid.__file__).parent
    found = [path for path in package.rglob("*.py") if re.search(r"\bImage\.open\(", path.read_text())]
    assert found == [package / "data" / "images.py"]


GREY = np.random.default_rng(1).integers(0, 256, (8, 6), dtype=np.uint8)
DEEP = np.random.default_rng(2).integers(0, 65536, (8, 6)).astype(np.uint16)
DEEP[0, :4] = 0, 255, 256, 65535
EXPECTED = np.round(DEEP / 257).astype(np.uint8)[..., None].repeat(3, axis=2)
"""0..65535 is 0..255 times 257."""


def big_endian_tiff(path: Path, values: np.ndarray) -> None:
    """An uncompressed TIFF of 16-bit grey, most significant byte first, which Pillow opens as I;16B."""
    height, width = values.shape
    tags = [(256, width), (257, height), (258, 16), (259, 1), (262, 1), (273, 110), (277, 1), (278, height)]
    tags.append((279, values.size * 2))
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in sorted(tags))
    directory = struct.pack(">H", len(tags)) + entries + b"\0\0\0\0"
    header = b"MM\0*" + struct.pack(">I", 8) + directory
    path.write_bytes(header.ljust(110 + 12, b"\0").replace(struct.pack(">HHII", 273, 4, 1, 110),
                     struct.pack(">HHII", 273, 4, 1, 122)) + values.astype(">u2").tobytes())  # fmt: skip


@pytest.mark.parametrize("name", ["thermal.png", "thermal.tiff"])
def test_16_bit_grey_keeps_its_range(tmp_path: Path, name: str) -> None:
    Image.fromarray(DEEP).save(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert image.mode == "I;16"
    assert (np.asarray(read_image(str(tmp_path / name))) == EXPECTED).all()


def test_16_bit_grey_of_the_other_byte_order(tmp_path: Path) -> None:
    big_endian_tiff(tmp_path / "big.tiff", DEEP)
    with Image.open(tmp_path / "big.tiff") as image:
        assert image.mode == "I;16B"
    assert (np.asarray(read_image(str(tmp_path / "big.tiff"))) == EXPECTED).all()


def test_16_bit_grey_that_an_older_pillow_opens_as_32_bit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Image.fromarray(DEEP).save(tmp_path / "a.png")
    monkeypatch.setattr(images.Image, "open", lambda path, formats: Image.fromarray(DEEP.astype(np.int32)))
    assert (np.asarray(read_image(str(tmp_path / "a.png"))) == EXPECTED).all()
    monkeypatch.setattr(images.Image, "open", lambda path, formats: Image.fromarray(DEEP.astype(np.int32) + 1))
    with pytest.raises(ValueError, match=r"a\.png: integers beyond 16 bit"):
        read_image(str(tmp_path / "a.png"))


def test_16_bit_colour_keeps_its_range(tmp_path: Path) -> None:
    colours = np.stack([DEEP, DEEP // 2, DEEP // 3], axis=2)
    cv2.imwrite(str(tmp_path / "c.png"), colours[..., ::-1])
    assert abs(np.asarray(read_image(str(tmp_path / "c.png"))) - colours / 257).max() <= 1


def test_numbers_of_unknown_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(ValueError, match=r"float\.tiff: 32-bit floats, whose range isn't known; convert the file to 8"):
        read_image(str(tmp_path / "float.tiff"))
    Image.fromarray(GREY.astype(np.int32)).save(tmp_path / "int.tiff")
    with pytest.raises(ValueError, match=r"int\.tiff: integers beyond 16 bit"):
        read_image(str(tmp_path / "int.tiff"))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    grey = np.where(GREY > 127, 255, 0).astype(np.uint8) if mode == "1" else GREY
    Image.fromarray(grey).convert(mode).save(tmp_path / "a.png")
    image = read_image(str(tmp_path / "a.png"))
    assert image.mode == "RGB"
    assert (np.asarray(image) == grey[..., None]).all()


@pytest.fixture
def strip(tmp_path: Path) -> str:
    pixels = np.random.default_rng(0).integers(0, 256, (128, 768, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "0548_c0002_000.png")
    return str(tmp_path / "0548_c0002_000.png")


def test_the_parts_of_a_strip(strip: str) -> None:
    whole = np.asarray(read_image(strip))
    parts = [np.asarray(read_image(part(strip, number, 3))) for number in (1, 2, 3)]
    assert [image.shape for image in parts] == [(128, 256, 3)] * 3
    assert (np.concatenate(parts, axis=1) == whole).all()
    assert (np.asarray(read_image(part(strip, 1, 1))) == whole).all()


def test_a_strip_is_decoded_once(strip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = str(jpeg(tmp_path / "other.jpg"))
    paths = [part(strip, 3, 3), other, part(strip, 1, 3), part(strip, 2, 3), part(strip, 1, 3)]
    expected = [read_image(path) for path in paths]
    decoded, decode = [], images._decode

    def counted(path: str, *settings: Any) -> Image.Image:
        decoded.append(path)
        return decode(path, *settings)

    monkeypatch.setattr(images, "_decode", counted)
    found = read_images(paths)
    assert found == expected
    assert decoded == [strip, other]
    found[2].paste((1, 2, 3), (0, 0, 9, 9))
    assert found[4] == expected[4]
    decoded.clear()
    assert list(read_in_turn(sorted(paths))) == [(path, read_image(path)) for path in sorted(paths)]
    assert decoded[:2] == [strip, other]


def test_a_strip_of_another_size_is_refused(strip: str, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"c0002_000\.png: a strip of 2 images is 512 x 128 pixels, this file is 768 x"
    ):
        read_image(part(strip, 1, 2))
    with pytest.raises(ValueError, match=r"tall\.jpg: a strip of 3 images is 768 x 128 pixels, this file is 128 x 768"):
        read_image(part(str(jpeg(tmp_path / "tall.jpg", 768, 128)), 2, 3))


def test_a_missing_strip_is_named_by_its_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.jpg: no such image"):
        read_image(part(str(tmp_path / "none.jpg"), 2, 3))
