from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from promptreid.data.batch import PathBundle
from promptreid.data.images import read_image
from promptreid.data.packing import Pack, files_of, write_pack
from promptreid.data.strips import part
from promptreid.data.transforms import INTERPOLATIONS, ImageSettings, build_chain

SIZE = (24, 12)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(5):
        path = tmp_path / "data" / f"cam{number % 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (40 + number, 30 - number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "data"


def paths(root: Path) -> list[str]:
    return sorted(map(str, root.rglob("*.jpg")))


def packed(root: Path, interpolation: str = "bilinear", file: str = "pack.npy") -> Path:
    write_pack(root.parent / file, root, paths(root), *SIZE, interpolation)
    return root.parent / file


def check(pack: Pack, root: Path, **changes: Any) -> None:
    pack.check(**{"files": paths(root), "height": 24, "width": 12, "interpolation": "bilinear", **changes})


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_images_are_those_of_decoding_and_resizing(root: Path, interpolation: str) -> None:
    pack = Pack(packed(root, interpolation), root)
    check(pack, root, interpolation=interpolation)
    chain = build_chain([], ImageSettings(*SIZE, [0.5] * 3, [0.5] * 3, interpolation))
    assert len(pack) == 5
    for path in paths(root):
        decoded = read_image(path)
        expected = np.asarray(decoded.resize((12, 24), Image.Resampling[interpolation.upper()]))
        assert np.asarray(pack.read(path)).tobytes() == expected.tobytes()
        assert chain(pack.read(path)).numpy().tobytes() == chain(decoded).numpy().tobytes()


def test_a_read_image_can_be_changed_without_changing_the_pack(root: Path) -> None:
    file = packed(root)
    before = file.read_bytes()
    Pack(file, root).read(paths(root)[0]).paste((1, 2, 3), (0, 0, 12, 24))
    assert file.read_bytes() == before


def test_paths_may_be_spelled_in_any_way(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = packed(root)
    monkeypatch.chdir(root)
    pack = Pack(file, ".")
    check(pack, root, files=["cam0/0.jpg", "cam1/../cam0/2.jpg"])
    assert pack.read("cam0/0.jpg") == pack.read(f"{root}/cam1/../cam0/0.jpg") == pack.read(paths(root)[0])


def test_a_worker_maps_the_file_itself(root: Path) -> None:
    pack = Pack(packed(root), root)
    sent = pickle.dumps(pack)
    assert len(sent) < 2000
    copy = pickle.loads(sent)
    assert copy.read(paths(root)[2]) == pack.read(paths(root)[2])
    assert isinstance(copy._map().base, np.memmap)


def test_a_data_set_may_be_moved_and_copied(root: Path, tmp_path: Path) -> None:
    file = packed(root)
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved)
    for path in paths(moved):
        os.utime(path, (1, 1))
    pack = Pack(file, moved)
    check(pack, moved)
    assert pack.read(paths(moved)[3]) == Pack(file, root).read(paths(root)[3])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 32}, "holds images of 24 x 12, but data.height and data.width ask for 32 x 12"),
        ({"width": 16}, "ask for 24 x 16"),
        ({"interpolation": "bicubic"}, "was resized with bilinear, but data.augment.interpolation is bicubic"),
        ({"files": ["/data/other.jpg"]}, "/data/other.jpg isn't in it"),
    ],
)
def test_a_foreign_pack_is_refused(root: Path, changes: dict[str, Any], message: str) -> None:
    pack = Pack(packed(root), root)
    with pytest.raises(ValueError) as caught:
        check(pack, root, **changes)
    assert message in str(caught.value)
    assert "data.pack" in str(caught.value)
    assert "promptreid pack" in str(caught.value)


def test_a_changed_file_is_refused(root: Path) -> None:
    pack = Pack(packed(root), root)
    first, second = paths(root)[:2]
    content = bytearray(Path(first).read_bytes())
    content[-20] ^= 1  # as many bytes as before
    Path(first).write_bytes(content)
    with pytest.raises(ValueError, match=r"cam0/0\.jpg has changed since it was packed"):
        check(pack, root)
    check(pack, root, files=[second])
    Path(second).unlink()
    with pytest.raises(FileNotFoundError, match=r"cam0/2\.jpg: no such image file, but data\.pack has it"):
        check(pack, root, files=[second])


def test_pixels_that_differ_from_decoding_are_refused(root: Path) -> None:
    file = packed(root)
    pixels = np.load(file, mmap_mode="r+")
    pixels[3, 5, 5, 1] ^= 1
    pixels.flush()
    with pytest.raises(ValueError, match="decodes to other pixels; the pack was made with Pillow"):
        check(Pack(file, root), root)


def test_a_file_outside_the_pack_is_not_read(root: Path) -> None:
    with pytest.raises(ValueError, match=r"x\.jpg isn't in the pack"):
        Pack(packed(root), root).read(str(root / "x.jpg"))


@pytest.mark.parametrize("missing", ["pack.npy", "pack.json"])
def test_a_missing_part_is_named(root: Path, missing: str) -> None:
    file = packed(root)
    file.with_name(missing).unlink()
    with pytest.raises(
        FileNotFoundError, match=rf"data\.pack: .*{missing} doesn't exist; make it again with promptreid "
    ):
        Pack(file, root)


def test_a_cut_or_mixed_file_is_refused(root: Path) -> None:
    file = packed(root)
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    with pytest.raises(ValueError, match=r"not a whole \.npy file"):
        Pack(file, root)
    np.save(file, np.zeros((4, *SIZE, 3), np.uint8))
    with pytest.raises(ValueError, match=r"its array doesn't fit pack\.json"):
        Pack(file, root)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 0}', '{"version": 1, "height": 24}'])
def test_a_foreign_index_is_refused(root: Path, text: str) -> None:
    file = packed(root)
    file.with_suffix(".json").write_text(text)
    with pytest.raises(ValueError, match=r"pack\.json.*make it again"):
        Pack(file, root)


def test_a_failed_packing_leaves_nothing_or_the_earlier_pack(root: Path) -> None:
    (root / "cam0" / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"broken\.jpg: not an image"):
        packed(root)
    assert [path.name for path in root.parent.iterdir()] == ["data"]
    (root / "cam0" / "broken.jpg").unlink()
    file = packed(root)
    (root / "cam0" / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError):
        packed(root)
    (root / "cam0" / "broken.jpg").unlink()
    check(Pack(file, root), root)
    assert {path.name for path in root.parent.iterdir()} == {"data", "pack.npy", "pack.json"}


def test_packing_that_stops_between_its_files_leaves_no_mixed_pack(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, replace = packed(root), os.replace

    def stop_at_the_index(source: Path, target: Path) -> None:
        if target.suffix == ".json":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop_at_the_index)
    with pytest.raises(KeyboardInterrupt):
        packed(root)
    with pytest.raises(FileNotFoundError, match=r"pack\.json doesn't exist"):
        Pack(file, root)


def test_the_index_is_readable(root: Path) -> None:
    index = json.loads(packed(root).with_suffix(".json").read_text())
    assert (index["height"], index["width"], index["interpolation"]) == (24, 12, "bilinear")
    assert [entry[0] for entry in index["files"]] == [f"cam{number % 2}/{number}.jpg" for number in (0, 2, 4, 1, 3)]


def test_bad_arguments_are_refused(root: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.npy"):
        write_pack(root / "pack.bin", root, paths(root), *SIZE, "bilinear")
    with pytest.raises(ValueError, match="no image to pack"):
        write_pack(root / "pack.npy", root, [], *SIZE, "bilinear")
    assert not list(root.glob("*pack*"))


def test_files_of_records() -> None:
    triple = PathBundle({"rgb": "a", "nir": None, "tir": "b"})
    assert files_of([(triple, 0, 0), ("c", 0, 0, 0), (PathBundle({"visible": "a"}), 1, 0)]) == ["a", "b", "c"]


def strips_of(root: Path, count: int = 3) -> list[str]:
    found = []
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (128, 256 * count, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"strip{number}.png")
        found += [part(str(root / f"strip{number}.png"), place, count) for place in range(1, count + 1)]
    return found


def test_the_parts_of_strips_have_rows_of_their_own(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = strips_of(root)
    triples = [(PathBundle(dict(zip("abc", parts[i : i + 3], strict=True))), 0, 0) for i in (0, 3, 6)]
    files = [*files_of(triples), paths(root)[0]]
    assert files == [*parts, paths(root)[0]]
    opened, opener = [], Image.open
    monkeypatch.setattr(Image, "open", lambda path, **settings: opened.append(path) or opener(path, **settings))
    write_pack(root.parent / "pack.npy", root, files, *SIZE, "bilinear")
    assert len(opened) == 4  # each strip once
    pack = Pack(root.parent / "pack.npy", root)
    check(pack, root, files=files)
    for path in files:
        expected = read_image(path).resize((12, 24), Image.Resampling.BILINEAR)
        assert pack.read(path).tobytes() == expected.tobytes()
    assert len({pack.read(path).tobytes() for path in files}) == len(pack) == 10
    index = json.loads((root.parent / "pack.json").read_text())
    assert [entry[0] for entry in index["files"][:2]] == ["strip0.png#1/3", "strip0.png#2/3"]
    with pytest.raises(ValueError, match=r"strip0\.png isn't in the pack"):
        pack.read(str(root / "strip0.png"))


def test_a_changed_or_missing_strip_is_refused(root: Path) -> None:
    parts = strips_of(root)
    write_pack(root.parent / "pack.npy", root, parts, *SIZE, "bilinear")
    pack = Pack(root.parent / "pack.npy", root)
    Image.fromarray(np.zeros((128, 768, 3), np.uint8)).save(root / "strip1.png")
    check(pack, root, files=parts[:3])
    with pytest.raises(ValueError, match=r"strip1\.png#1/3 has changed since it was packed"):
        check(pack, root, files=parts)
    (root / "strip0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"strip0\.png: no such image file, but data\.pack has it"):
        check(pack, root, files=parts)


def test_a_strip_of_another_size_is_not_packed(root: Path) -> None:
    with pytest.raises(ValueError, match="a strip of 2 images is 512 x 128 pixels, this file is 768 x 128"):
        write_pack(root.parent / "pack.npy", root, [part(strips_of(root)[0][:-4], 1, 2)], *SIZE, "bilinear")
