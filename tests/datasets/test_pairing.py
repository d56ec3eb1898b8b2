"""Files become samples by their names alone; what does not fit is named."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fake_triples import touch
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid.data import strips
from promptreid.datasets.pairing import in_identity_folders, in_modality_folders, in_strips

FOLDERS = {"visible": "RGB", "near_infrared": "NI", "thermal_infrared": "TI"}
NESTED = {"visible": "vis", "near_infrared": "ni", "thermal_infrared": "th"}


@settings(max_examples=25, deadline=None)
@given(present=st.lists(st.sets(st.sampled_from(sorted(FOLDERS))), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_pairs_by_name_whatever_is_missing(
    tmp_path_factory: pytest.TempPathFactory, present: list[set[str]], seed: int
) -> None:
    """Against the slow way: ask for every file by its name."""
    if not any(present):
        return
    split = tmp_path_factory.mktemp("split")
    suffixes = random.Random(seed).choices((".jpg", ".JPG", ".png", ".PNG", ".tif", ".tiff", ".jpeg", ".bmp"), k=3)
    ending = dict(zip(FOLDERS, suffixes, strict=True))
    for modality, name in FOLDERS.items():
        touch(split / name, [f"n{k}{ending[modality]}" for k, found in enumerate(present) if modality in found])
    touch(split / "RGB", ["._n0.jpg", ".DS_Store", "Thumbs.db"])
    absent = [modality for modality in FOLDERS if not any(modality in found for found in present)]
    if absent:
        with pytest.raises(ValueError, match=f"split.*: no sample has a {absent[0]} image: looked for"):
            in_modality_folders(split, FOLDERS)
        assert in_modality_folders(split, FOLDERS, absent)
        return
    expected = []
    for k, found in enumerate(present):
        if found:
            paths = {m: split / name / f"n{k}{ending[m]}" for m, name in FOLDERS.items()}
            expected.append(("", f"n{k}", {m: str(p) if p.exists() else None for m, p in paths.items()}))
    assert [tuple(sample) for sample in in_modality_folders(split, FOLDERS)] == expected


def test_identity_folders_keep_equal_names_apart(tmp_path: Path) -> None:
    for owner in ("0002", "0010"):
        for side in NESTED.values():
            touch(tmp_path / owner / side, ["a.jpg", "b.jpg"])
    (tmp_path / "0010" / "th" / "a.jpg").unlink()
    found = in_identity_folders(tmp_path, NESTED)
    assert [(sample.owner, sample.stem) for sample in found] == [
        ("0002", "a"),
        ("0002", "b"),
        ("0010", "a"),
        ("0010", "b"),
    ]
    assert [sample.paths["thermal_infrared"] is None for sample in found] == [False, False, True, False]
    assert all(f"/{sample.owner}/" in sample.place for sample in found)


def test_strips_have_their_parts_in_order(tmp_path: Path) -> None:
    touch(tmp_path, ["b.jpg", "a.JPG"])
    found = in_strips(tmp_path, list(FOLDERS))
    assert [sample.stem for sample in found] == ["a", "b"]
    assert [strips.split(path) for path in found[0].paths.values()] == [(f"{tmp_path}/a.JPG", n, 3) for n in (1, 2, 3)]
    assert found[1].place == f"{tmp_path}/b.jpg"


def test_other_files_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in FOLDERS.values():
        touch(tmp_path / name, ["a.jpg", ".hidden", "._a.jpg", "Thumbs.db"])
    touch(tmp_path / "NI", ["notes.md", "a.jpg.txt"])
    assert len(in_modality_folders(tmp_path, FOLDERS)) == 1
    assert len(caplog.messages) == 1
    assert "2 files or folders left out" in caplog.text
    assert "NI/a.jpg.txt" in caplog.text
    for side in NESTED.values():
        touch(tmp_path / "ids" / "0001" / side, ["a.jpg"])
    touch(tmp_path / "ids", ["notes.txt"])
    assert len(in_identity_folders(tmp_path / "ids", NESTED)) == 1
    assert "ids/notes.txt" in caplog.text


@pytest.mark.parametrize("second", ["a.png", "a.JPG"])
def test_two_files_of_one_name(tmp_path: Path, second: str) -> None:
    touch(tmp_path / "NI", ["a.jpg", second])
    with pytest.raises(ValueError, match=r"NI/a\.\w+ and .*NI/a\.\w+ have one name; .* remove one"):
        in_modality_folders(tmp_path, FOLDERS)
    with pytest.raises(ValueError, match="have one name"):
        in_strips(tmp_path / "NI", list(FOLDERS))


def test_missing_split(tmp_path: Path) -> None:
    for read, names in ((in_modality_folders, FOLDERS), (in_identity_folders, NESTED), (in_strips, ["visible"])):
        with pytest.raises(FileNotFoundError, match="test: no such folder; is the data set complete"):
            read(tmp_path / "test", names)


def test_layouts_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path / "flat", ["a.jpg"])
    touch(tmp_path / "parallel" / "RGB", ["a.jpg"])
    touch(tmp_path / "nested" / "0019" / "vis", ["a.jpg"])
    touch(tmp_path / "ids" / "0019", ["a.jpg"])
    touch(tmp_path / "unicat" / "RGB" / "0019", ["a.jpg"])
    touch(tmp_path / "text", ["readme.txt"])
    (tmp_path / "empty").mkdir()
    flat, parallel, nested = (
        "expected <name>.jpg in it",
        r"expected {RGB, NI, TI}/",
        r"expected <identity>/{vis, ni, th}/",
    )
    for folder, expected, found in (
        ("flat", parallel, r"found image files \(a.jpg, ...\)"),
        ("flat", nested, "found image files"),
        ("parallel", nested, r"found folders of modalities \(RGB\)"),
        ("parallel", flat, "found folders of modalities"),
        ("nested", parallel, r"found folders of identities \(0019, ...\)"),
        ("nested", flat, "found folders of identities"),
        ("unicat", parallel, r"found RGB with folders of identities \(0019, ...\) in it"),
        ("text", parallel, "found readme.txt and no image"),
        ("empty", nested, "found nothing"),
    ):
        read, names = {flat: (in_strips, ["visible"]), parallel: (in_modality_folders, FOLDERS)}.get(
            expected, (in_identity_folders, NESTED)
        )
        with pytest.raises(ValueError, match=f"{folder}: {expected}.*{found}.*; is this the data set that you mean"):
            read(tmp_path / folder, names)
    with pytest.raises(ValueError, match=r"ids/0019: expected {vis, ni, th}/<name>.jpg in it, found image files"):
        in_identity_folders(tmp_path / "ids", NESTED)
