"""The check of RGB + NIR + TIR data: every modality's file, strips, missing twins, identities in both splits."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fake_triples import SMALL, patches, write_small
from PIL import Image

from promptreid.datasets.checks import Report, check
from promptreid.datasets.published import PUBLISHED, Count


def draw(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small tree of real images, with its own numbers as the published ones."""
    size = {"rgbnt100": (128, 768), "rgbn300": (128, 512)}.get(name, (16, 8))
    folder = write_small(name, root, patches(size))
    counts = {(row.split, row.group): row.found for row in check(name, str(root)).rows}
    monkeypatch.setitem(PUBLISHED, name, replace(PUBLISHED[name], counts=counts))
    return folder


def report_of(name: str, root: Path, **kwargs: bool) -> Report:
    return check(name, str(root), workers=2, **kwargs)


@pytest.mark.parametrize("name", SMALL)
def test_a_clean_tree_is_good(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(name, tmp_path, monkeypatch)
    report = report_of(name, tmp_path, decode=True)
    assert report.good
    assert (report.problems, report.notes) == ([], [])
    assert report.rows


@pytest.mark.parametrize("name", ["rgbnt201", "msvr310", "wmveid863", "market_mm"])
def test_a_bad_file_of_any_modality_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = draw(name, tmp_path, monkeypatch)
    before = report_of(name, tmp_path).manifest
    split = next(iter(SMALL[name][1]()))
    for side in SMALL[name][2]:
        path = sorted((folder / split).glob(f"**/{side}/*.jpg"))[-1]
        content = path.read_bytes()
        path.write_bytes(content[:-20])
        report = report_of(name, tmp_path)
        assert report.problems == []  # a header says nothing of the end
        assert report.manifest != before  # the manifest has every modality's file
        (problem,) = report_of(name, tmp_path, decode=True).problems
        assert str(path) in problem
        path.write_bytes(b"<html>")
        (problem,) = report_of(name, tmp_path).problems
        assert str(path) in problem
        path.write_bytes(content)
    assert report_of(name, tmp_path).manifest == before


@pytest.mark.parametrize(("name", "parts", "width"), [("rgbnt100", 3, 768), ("rgbn300", 2, 512)])
@pytest.mark.parametrize("decode", [False, True])
def test_strips_of_another_size(
    name: str, parts: int, width: int, decode: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = draw(name, tmp_path, monkeypatch)
    path = sorted(folder.glob("rgbir/query/*.jpg"))[2]
    Image.new("RGB", (256, 128)).save(path)
    report = report_of(name, tmp_path, decode=decode)
    (problem,) = report.problems
    assert f"{path}: a strip of {parts} images is {width} x 128 pixels, this file is 256 x 128" in problem
    assert not report.good


def test_a_truncated_strip_needs_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sorted(draw("rgbnt100", tmp_path, monkeypatch).glob("rgbir/query/*.jpg"))[0]
    path.write_bytes(path.read_bytes()[:-200])
    assert report_of("rgbnt100", tmp_path).problems == []
    (problem,) = report_of("rgbnt100", tmp_path, decode=True).problems
    assert str(path) in problem


def test_a_missing_twin_is_named_with_its_modality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = draw("rgbnt201", tmp_path, monkeypatch)
    name = sorted((folder / "test" / "NI").iterdir())[3].name
    (folder / "test" / "NI" / name).unlink()
    (folder / "test" / "RGB" / name).unlink()
    report = report_of("rgbnt201", tmp_path)
    assert report.problems == [f"test: {folder}/test/TI/{name}: no visible and no near_infrared image has this name"]
    assert [(row.split, row.group) for row in report.rows if not row.agrees] == [("test", "complete")]


def test_an_identity_in_both_splits_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = draw("msvr310", tmp_path, monkeypatch)
    shutil.copytree(folder / "bounding_box_train" / "0002", folder / "bounding_box_test" / "0002")
    report = report_of("msvr310", tmp_path)
    assert report.problems == ["identity 2 is in train and in gallery"]
    assert not report.good


def test_published_flaws_are_told_and_not_held_against_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = draw("wmveid863", tmp_path, monkeypatch)
    shutil.copytree(folder / "train" / "0002", folder / "test" / "0002")
    path = sorted((folder / "train" / "0001" / "th").iterdir())[0]
    path.unlink()
    report = report_of("wmveid863", tmp_path)
    assert report.problems == []
    assert report.notes == [
        f"train: {folder}/train/0001/vis/{path.name}: no thermal_infrared image has this name",
        "identity 2 is in train and in test",
    ]
    # More of it than is published shows in the counts.
    wrong = {(row.split, row.group): (row.expected, row.found) for row in report.rows if not row.agrees}
    assert wrong["train", "complete"] == (Count(2, 8), Count(2, 7))
    assert wrong["test", "all"] == (Count(5, 60), Count(6, 64))
    assert not report.good


def test_a_tree_that_cannot_be_parsed(tmp_path: Path) -> None:
    folder = write_small("rgbnt201", tmp_path)
    (folder / "test" / "RGB" / "holiday.jpg").touch()
    report = report_of("rgbnt201", tmp_path)
    assert (report.rows, report.manifest) == ([], "")
    assert "holiday.jpg: the name is not of the form 000287_cam1_0_05.jpg" in report.problems[0]


def test_published_totals_add_up() -> None:
    counts = PUBLISHED["rgbnt201"].counts
    assert sum(counts["train", f"cam{cam}"].images for cam in (1, 2, 3, 4)) == counts["train", "all"].images
    assert sum(counts["test", f"cam{cam}"].images for cam in (1, 2)) == counts["test", "all"].images
    assert counts["train", "all"].images + counts["test", "all"].images == counts["all splits", "all"].images
    counts = PUBLISHED["rgbnt100"].counts
    assert counts["train", "all"].images + counts["gallery", "all"].images == counts["train + gallery", "all"].images
    counts = PUBLISHED["wmveid863"].counts
    for group in ("all", "complete"):
        both = counts["train", group].images + counts["test", group].images
        assert both == counts["train + test", group].images
    assert counts["train", "all"].ids + counts["test", "all"].ids - 7 == counts["train + test", "all"].ids
