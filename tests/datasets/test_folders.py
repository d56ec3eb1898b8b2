"""Copies of a data set that lie deeper, or are called otherwise, than the published one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from small_sets import WRITERS

from promptreid.datasets.folders import child, find_folder, numbered
from promptreid.datasets.market_mm_maker import make_market_mm
from promptreid.datasets.registry import DATASETS


def load(name: str, root: Path, **kwargs: Any) -> Any:
    return DATASETS[name](root=str(root), verbose=False, **kwargs)


def names_of(data: Any) -> list[list[str]]:
    return [[Path(record[0]).name for record in records] for records in (data.train, data.query, data.gallery)]


@pytest.mark.parametrize("name", WRITERS)
def test_one_level_deeper(tmp_path: Path, name: str) -> None:
    folder = WRITERS[name](tmp_path / "plain")
    expected = names_of(load(name, tmp_path / "plain"))
    inner = tmp_path / "root" / folder.name / folder.name
    shutil.copytree(folder, inner)
    for root in (tmp_path / "root", inner.parent, inner):
        assert names_of(load(name, root)) == expected
    (tmp_path / "root" / folder.name).rename(tmp_path / "root" / folder.name.swapcase())
    assert names_of(load(name, tmp_path / "root")) == expected


@pytest.mark.parametrize("name", WRITERS)
def test_two_places_are_an_error(tmp_path: Path, name: str) -> None:
    folder = WRITERS[name](tmp_path)
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy").rename(folder / folder.name)
    for root in (tmp_path, folder):
        with pytest.raises(ValueError, match=rf"is at .*{folder}.* and at .*: set data\.root to the one that is meant"):
            load(name, root)


def test_a_link_is_no_second_place(tmp_path: Path) -> None:
    folder = WRITERS["regdb"](tmp_path)
    (tmp_path / "regdb").symlink_to(folder)
    assert load("regdb", tmp_path).train


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_there_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"not found at .*/none \(looked for .*\): there is no such folder; set"
    ):
        load(name, tmp_path / "none")
    (tmp_path / "Holidays").mkdir()
    with pytest.raises(FileNotFoundError, match=r"not found at .* has Holidays; set data\.root"):
        load(name, tmp_path)


def test_a_folder_that_nearly_is_the_data_set_is_told(tmp_path: Path) -> None:
    folder = WRITERS["regdb"](tmp_path)
    (folder / "Thermal").rename(folder / "FIR")
    with pytest.raises(FileNotFoundError, match=r"RegDB lacks Thermal and has FIR, Visible, idx"):
        load("regdb", tmp_path)


@pytest.mark.parametrize("name", WRITERS)
def test_folders_in_another_case(tmp_path: Path, name: str) -> None:
    folder = WRITERS[name](tmp_path)
    expected = [[file.lower() for file in files] for files in names_of(load(name, tmp_path))]
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            path.rename(path.with_name(path.name.swapcase()))
    found = load(name, tmp_path)
    assert [[file.lower() for file in files] for files in names_of(found)] == expected


@pytest.mark.parametrize("suffix", [".png", ".JPEG", ".tiff", ".tif", ".bmp"])
@pytest.mark.parametrize("name", WRITERS)
def test_images_of_another_format(tmp_path: Path, name: str, suffix: str) -> None:
    folder = WRITERS[name](tmp_path)
    expected = [[Path(file).stem for file in files] for files in names_of(load(name, tmp_path))]
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".jpg", ".bmp") and path.name[0] != ".":
            path.rename(path.with_suffix(suffix))
    found = names_of(load(name, tmp_path))
    assert [[Path(file).stem for file in files] for files in found] == expected
    assert {Path(file).suffix for files in found for file in files} == {suffix}


@pytest.mark.parametrize("name", WRITERS)
def test_hidden_files_are_left_alone(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = WRITERS[name](tmp_path)
    expected = names_of(load(name, tmp_path))
    said = [text for text in caplog.messages if "left out" in text]
    for path in sorted(folder.rglob("*")):
        for hidden in (f"._{path.name}", ".DS_Store", "Thumbs.db", "desktop.ini"):
            (path.parent / hidden).touch()
    assert names_of(load(name, tmp_path)) == expected
    assert [text for text in caplog.messages if "left out" in text] == 2 * said


def test_the_makers_source_may_have_hidden_files(tmp_path: Path) -> None:
    from PIL import Image

    for split in ("bounding_box_train", "query", "bounding_box_test"):
        folder = tmp_path / "Market-1501" / "Market-1501" / split
        folder.mkdir(parents=True)
        Image.new("RGB", (4, 8)).save(folder / "0002_c1s1_000451_03.jpg")
        for hidden in ("._0002_c1s1_000451_03.jpg", ".DS_Store", "Thumbs.db"):
            (folder / hidden).write_bytes(b"\0\5\x16\7")
    (tmp_path / "warm" / ".trash").mkdir(parents=True)
    for place in ("warm", "warm/.trash"):
        Image.new("L", (4, 8)).save(tmp_path / place / "0002_c1s1_000451_03.jpg")
    made = make_market_mm(tmp_path, tmp_path / "out", tmp_path / "warm")
    assert (made.samples, made.lacking) == ({"train": 1, "query": 1, "gallery": 1}, [])


@pytest.mark.parametrize("name", ["sysu_mm01", "regdb", "llcm", "msvr310", "wmveid863"])
def test_numbers_of_identities_may_be_padded_otherwise(tmp_path: Path, name: str) -> None:
    folder = WRITERS[name](tmp_path)
    expected = names_of(load(name, tmp_path))
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and path.name.isdigit():
            path.rename(path.with_name(f"{int(path.name):06d}" if len(path.name) < 4 else str(int(path.name))))
    assert names_of(load(name, tmp_path)) == expected


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("sysu_mm01", "cam2/0001"),
        ("regdb", "Thermal/2"),
        ("llcm", "test_vis/cam1/0004"),
        ("msvr310", "query3/0011"),
        ("wmveid863", "train/0001"),
    ],
)
def test_two_folders_of_one_identity(tmp_path: Path, name: str, place: str) -> None:
    folder = WRITERS[name](tmp_path) / place
    twins = [folder.with_name(f"0000{n}{int(folder.name)}") for n in ("", "0")]
    for twin in twins:
        shutil.copytree(folder, twin)
    if name == "regdb":  # whose lists name one of them, as long as it is there
        shutil.rmtree(folder)
    with pytest.raises(ValueError, match=r"(are both of|have one number).*remove one"):
        load(name, tmp_path)


def test_numbers_and_names(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("0010.jpg", "2.jpg", "copy of 2.jpg")]
    assert numbered(paths) == ({10: paths[0], 2: paths[1]}, [paths[2]])
    with pytest.raises(ValueError, match=r"2\.jpg and .*0002\.png have one number"):
        numbered([*paths, tmp_path / "0002.png"])
    (tmp_path / "NI").mkdir()
    assert child(tmp_path, "ni") == tmp_path / "NI"
    assert child(tmp_path, "ti") == tmp_path / "ti"
    (tmp_path / "Ni").mkdir()
    with pytest.raises(ValueError, match=r"NI and .*Ni are both called ni"):
        child(tmp_path, "ni")


def test_a_folder_of_its_own_name_and_one_of_another(tmp_path: Path) -> None:
    (tmp_path / "b" / "A" / "idx").mkdir(parents=True)
    assert find_folder(tmp_path, "A", ("A", "b"), ("idx",)) == tmp_path / "b" / "A"
