"""The reader of the official permutations, on files made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from promptreid.evaluation import FeatureSet, SYSUProtocol, load_rand_perm_cam


def write(path: Path, change: dict[tuple[int, int], Any] | None = None, cameras: int = 6) -> Path:
    """Permutations of 3 frames for identities 1 and 2 in every camera; identity 2 has none in camera 1."""
    generator = np.random.default_rng(0)
    table = np.empty((cameras, 1), dtype=object)
    for camera in range(cameras):
        cells = np.empty((2, 1), dtype=object)
        for index in range(2):
            rows = np.array([generator.permutation(3) + 1 for _ in range(10)], dtype=np.uint8)
            empty = (camera, index) == (0, 1)
            cells[index, 0] = (change or {}).get((camera, index), np.empty((0, 0)) if empty else rows)
        table[camera, 0] = cells
    scipy.io.savemat(path, {"rand_perm_cam": table})
    return path


def test_reads_rows_as_zero_based_positions(tmp_path: Path) -> None:
    rows = load_rand_perm_cam(write(tmp_path / "p.mat")).rows
    assert sorted(rows) == [(1, c) for c in range(6)] + [(2, c) for c in range(1, 6)]
    assert all((np.sort(cell, axis=1) == [0, 1, 2]).all() and cell.shape == (10, 3) for cell in rows.values())


def test_draws_camera_by_camera(tmp_path: Path) -> None:
    permutations = load_rand_perm_cam(write(tmp_path / "p.mat"))
    pids, camids = np.array([1] * 6 + [2] * 3), np.array([0, 0, 0, 1, 1, 1, 1, 1, 1])
    pool = FeatureSet(None, pids, camids)
    drawn = SYSUProtocol("indoor", 1, "official", permutations=permutations).trials(pool)
    for row in range(10):
        offsets = [permutations.rows[cell][row][0] for cell in ((1, 0), (1, 1), (2, 1))]
        assert drawn[row].tolist() == [offsets[0], 3 + offsets[1], 6 + offsets[2]]


def test_refuses_a_pool_with_other_counts(tmp_path: Path) -> None:
    permutations = load_rand_perm_cam(write(tmp_path / "p.mat"))
    protocol = SYSUProtocol("all", 1, "official", permutations=permutations)
    with pytest.raises(ValueError, match=r"identity 1 has 2 images in camera 4, but rand_perm_cam.mat permutes 3"):
        protocol.trials(FeatureSet(None, np.array([1, 1]), np.array([3, 3])))
    with pytest.raises(ValueError, match=r"identity 2 has 1 images in camera 1, but rand_perm_cam.mat permutes 0"):
        protocol.trials(FeatureSet(None, np.array([2]), np.array([0])))


def test_a_missing_file_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.mat: no such file.*wuancong/SYSU-MM01"):
        load_rand_perm_cam(tmp_path / "none.mat")


@pytest.mark.parametrize(
    ("cameras", "change", "message"),
    [
        (5, {}, "rand_perm_cam has shape"),
        (6, {(2, 0): np.ones((10, 3))}, "camera 3, identity 1: expected 10 permutations"),
        (6, {(2, 1): np.tile([1, 2, 3], (9, 1))}, "camera 3, identity 2: expected 10 permutations"),
        (6, {(1, 0): np.array(["a"])}, "camera 2, identity 1: expected 10 permutations"),
    ],
)
def test_refuses_malformed_tables(tmp_path: Path, cameras: int, change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_rand_perm_cam(write(tmp_path / "p.mat", change, cameras))


@pytest.mark.parametrize("content", [b"", b"not a matlab file at all" * 20])
def test_refuses_other_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.mat").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read as MATLAB file"):
        load_rand_perm_cam(tmp_path / "p.mat")


def test_refuses_a_file_without_the_variable(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "p.mat", {"other": 1})
    with pytest.raises(ValueError, match="cannot be read as MATLAB file"):
        load_rand_perm_cam(tmp_path / "p.mat")
