"""Trees that several files share."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_trees import write_llcm, write_regdb

SMALL_CAMERAS = {"vis": (1, 3, 9), "nir": (1, 9)}


@pytest.fixture(scope="session")
def whole_regdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RegDB in full: 412 persons, ten splits. Read only."""
    return write_regdb(tmp_path_factory.mktemp("whole") / "RegDB")


@pytest.fixture
def small_regdb(tmp_path: Path) -> Path:
    """A writable RegDB of eight persons, three images each per modality, one split."""
    return write_regdb(tmp_path / "RegDB", persons=8, images=3, splits=1)


@pytest.fixture
def small_llcm(tmp_path: Path) -> Path:
    """A writable LLCM: ids 1-3 trained, 4-6 tested, two images per camera; its path contains "cam" on purpose."""
    cells = {side: {(pid, cam): 2 for pid in (4, 5, 6) for cam in cams} for side, cams in SMALL_CAMERAS.items()}
    train = {side: {(pid, cam): 2 for pid in (1, 2, 3) for cam in (1, 9)} for side in SMALL_CAMERAS}
    return write_llcm(tmp_path / "cam2" / "webcam_c05_data" / "LLCM", train, cells)
