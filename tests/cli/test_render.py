"""Rendering from the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import promptreid

from promptreid import synthetic


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_writes_the_tree_of_the_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--like sysu_mm01 --ids 6 --seed 3 --frames 2 --size 64 32"
    assert promptreid("render", *options.split(), "--out", tmp_path / "verb") == 0
    synthetic.write_tree("sysu_mm01", tmp_path / "library", ids=6, seed=3, frames=2, size=(64, 32))
    assert contents(tmp_path / "verb") == contents(tmp_path / "library")
    printed, error = capsys.readouterr()
    assert re.fullmatch(r"\d+ images in .+verb\n", printed)
    assert error == "", "no progress where there is no terminal"


def test_it_leaves_the_size_to_the_data_set(tmp_path: Path) -> None:
    options = "--like rgbn300 --ids 3 --seed 3 --frames 1"
    assert promptreid("render", *options.split(), "--out", tmp_path / "verb") == 0
    synthetic.check_manifest(tmp_path / "verb", "rgbn300", ids=3, seed=3, frames=1, size=(128, 256))


@pytest.mark.parametrize(
    "options",
    [
        "--like sysu_mm01 --ids 0 --seed 0",
        "--like nothing --ids 6 --seed 0",
        "--like sysu_mm01 --ids six --seed 0",
        "--like sysu_mm01 --ids 6",
        "--like sysu_mm01 --ids 6 --seed 0 --size 63 32",
        "--like rgbnt100 --ids 6 --seed 0 --size 128 64",
        "--like msvr310 --ids 3 --seed 0",
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str) -> None:
    assert promptreid("render", *options.split(), "--out", tmp_path / "tree") == 2
    assert re.fullmatch(r"error: .+\n", capsys.readouterr().err)
    assert not list(tmp_path.iterdir())
