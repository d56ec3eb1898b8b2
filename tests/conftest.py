"""Fixtures that several test folders share, and the helper modules in ``tests/helpers``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image
from torch import Tensor

import promptreid  # noqa: F401  (before torch and torchvision: a CPU build of torch needs what it declares)

sys.path.append(str(Path(__file__).parent / "helpers"))
import_module("host_layouts").use_layout_of_environment()  # before anything imports torchreid
torch.set_num_threads(1)
settings.register_profile("suite", deadline=None)  # a busy machine is no failure
settings.load_profile("suite")

TINY_VIT = {"depth": 4, "embed_dim": 32, "num_heads": 2, "patch_size": 8, "img_size": (64, 32)}
PEOPLE, CAMERAS = 7, 6


def write_image(path: Path, seed: int = 0, size: tuple[int, int] = (32, 16)) -> None:
    """A small JPEG of noise, height x width."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="session")
def sysu_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a rendered SYSU-MM01 tree of 20 identities; read only."""
    from promptreid.synthetic import write_tree

    root = tmp_path_factory.mktemp("reid-data")
    write_tree("sysu_mm01", root / "SYSU-MM01", ids=20, seed=3, frames=4, size=(64, 32))
    return root


@pytest.fixture(scope="session")
def small_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a rendered SYSU-MM01 tree of 12 identities, for runs of a second; read only."""
    from promptreid.synthetic import write_tree

    root = tmp_path_factory.mktemp("small-data")
    write_tree("sysu_mm01", root / "SYSU-MM01", ids=12, seed=3, frames=2, size=(32, 16))
    return root


@pytest.fixture(scope="session")
def reported(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two runs that have ended and their report, see ``reported_runs``; read only."""
    from reported_runs import report_of_two

    return report_of_two(small_root, tmp_path_factory.mktemp("reported"))


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


@pytest.fixture
def tiny_mip() -> Callable[..., Any]:
    """Builds a MIP with four blocks of 32 channels, without dropout unless asked for."""
    from promptreid.methods.mip.model import MIP, build_mip

    def build(loss: str = "prompt", seed: int = 0, **settings: Any) -> MIP:
        torch.manual_seed(seed)
        vit = {**TINY_VIT, **settings.pop("vit", {})}
        settings = {"stride": 6, "drop_path": 0.0, "cameras": CAMERAS, **settings}
        return build_mip(PEOPLE, loss, pretrained=False, vit=vit, **settings)

    return build


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Six images of 64 x 32, three of either modality."""
    generator = torch.Generator().manual_seed(1)
    return {
        "images": torch.randn(6, 1, 3, 64, 32, generator=generator),
        "modality": (torch.arange(6) % 2)[:, None],
        "camera": torch.arange(6) % CAMERAS,
        "present": torch.ones(6, 1, dtype=torch.bool),
    }
