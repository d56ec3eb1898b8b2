"""Makes ``tests/models/released.py`` and the helpers of this folder importable; a data set that is read in no time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "models"))
sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def small_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a rendered SYSU-MM01 tree of 12 identities; read only."""
    from promptreid.datasets.synthetic import write_tree

    root = tmp_path_factory.mktemp("small-data")
    write_tree("sysu_mm01", root / "SYSU-MM01", ids=12, seed=3, frames=2, size=(32, 16))
    return root
