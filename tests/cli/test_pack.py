"""Packing from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import promptreid
from PIL import Image

from promptreid.data.packing import Pack


def test_packs_a_whole_data_set(noise_tree: Path, capsys) -> None:
    root, out = noise_tree.parent, noise_tree.parent / "out" / "sysu.npy"
    assert promptreid("pack", "sysu_mm01", root, "--size", 20, 10, "--out", out, "--interpolation", "bicubic") == 0
    assert "72 images of 20 x 10 in" in capsys.readouterr().out
    images = [path for path in noise_tree.rglob("*.jpg") if path.parent.name in ("0001", "0002", "0003", "0004")]
    images += [path for path in noise_tree.rglob("*.jpg") if path.parent.name in ("0007", "0009")]
    packed = Pack(out, root)
    assert len(packed) == len(images) == 72
    for path in images:
        expected = Image.open(path).convert("RGB").resize((10, 20), Image.Resampling.BICUBIC)
        assert np.array_equal(np.asarray(packed.read(str(path))), np.asarray(expected))
    assert json.loads(out.with_suffix(".json").read_text())["interpolation"] == "bicubic"


@pytest.mark.parametrize(
    ("name", "root", "message"),
    [
        ("sysu_mm1", ".", "no data set is called 'sysu_mm1'; did you mean 'sysu_mm01'?"),
        ("sysu_mm01", "/nonexistent", "/nonexistent"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(capsys, tmp_path: Path, name, root, message) -> None:
    assert promptreid("pack", name, root, "--size", 20, 10, "--out", tmp_path / "x.npy") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [("0", "10"), ("20",), ("20", "x")])
def test_a_size_is_two_positive_numbers(capsys, tmp_path: Path, size: tuple[str, ...]) -> None:
    assert promptreid("pack", "sysu_mm01", tmp_path, "--out", tmp_path / "x.npy", "--size", *size) == 2
    assert "--size" in capsys.readouterr().err


def test_the_same_name_twice_packs_once(noise_tree: Path) -> None:
    out = noise_tree.parent / "sysu.npy"
    assert promptreid("pack", "sysu_mm01", "sysu_mm01", noise_tree.parent, "--size", 8, 4, "--out", out) == 0
    assert len(Pack(out, noise_tree.parent)) == 72
