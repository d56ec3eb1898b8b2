"""Fixtures that several test folders share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

torch.set_num_threads(1)


def write_image(path: Path, seed: int = 0, size: tuple[int, int] = (32, 16)) -> None:
    """A small JPEG of noise, height x width."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="session")
def sysu_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a rendered SYSU-MM01 tree of 20 identities; read only."""
    from promptreid.datasets.synthetic import write_tree

    root = tmp_path_factory.mktemp("reid-data")
    write_tree("sysu_mm01", root / "SYSU-MM01", ids=20, seed=3, frames=4, size=(64, 32))
    return root


@pytest.fixture
def noise_tree(tmp_path: Path) -> Path:
    """A writable SYSU-MM01 tree of noise: ids 1-4 trained, 7 and 9 tested, 2 frames per id and camera."""
    folder = tmp_path / "SYSU-MM01"
    for camera in range(1, 7):
        for pid in (1, 2, 3, 4, 7, 9):
            for frame in (1, 2):
                write_image(folder / f"cam{camera}" / f"{pid:04d}" / f"{frame:04d}.jpg", seed=camera * pid + frame)
    (folder / "exp").mkdir()
    for name, ids in (("train_id", "1,2,3"), ("val_id", "4"), ("test_id", "7,9")):
        (folder / "exp" / f"{name}.txt").write_text(ids + "\n")
    return folder
