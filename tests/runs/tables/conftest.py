"""A table of toy trainings, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from toy_tables import run_toy, use_toy_trainings


@pytest.fixture(scope="session")
def toy_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs and the results of the toy table; read only."""
    folder = tmp_path_factory.mktemp("toy")
    with pytest.MonkeyPatch.context() as patch:
        use_toy_trainings(patch)
        run_toy(folder)
    return folder


@pytest.fixture
def toy(toy_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which further trainings are toys, too."""
    use_toy_trainings(monkeypatch)
    return Path(shutil.copytree(toy_made, tmp_path / "toy"))
