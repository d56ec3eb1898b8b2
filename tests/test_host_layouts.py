"""The suite runs on GitHub's layout of torchreid too: a part of it does so here, on an emulated checkout."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from command_line import printed_by, python
from host_layouts import EMULATED, VARIABLE, use_layout_of_environment

from promptreid import host

ROOT = Path(__file__).resolve().parents[1]
PART = [
    "tests/test_host_layouts.py::test_the_host_is_the_one_that_was_asked_for_in_processes_too",
    "tests/test_host.py::test_nothing_of_torchreid_is_overwritten",
    "tests/test_host.py::test_torchreid_reads_its_own_checkpoint",
    "tests/test_host.py::test_a_data_manager_downloads_nothing",
    "tests/engine/test_host_engine.py::test_softmax_engine",
    "tests/engine/test_host_engine.py::test_feature_extractor",
    "tests/engine/test_host_engine.py::test_unknown_names_are_refused_by_torchreid",
    "tests/config/test_kwargs.py",
]


def test_a_part_of_the_suite_on_githubs_layout() -> None:
    done = python("-m", "pytest", "-p", "no:cacheprovider", *PART, cwd=ROOT, **{VARIABLE: EMULATED})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) > 10
    assert "failed" not in done.stdout


def test_the_host_is_the_one_that_was_asked_for_in_processes_too() -> None:
    folder = os.environ.get(VARIABLE)
    used = Path(host.torchreid.__file__)
    if folder:
        assert used == Path(folder) / "torchreid" / "__init__.py" and host.LAYOUT == "github"
    assert printed_by("from promptreid import host; print(host.torchreid.__file__)") == f"{used}\n"


def test_a_folder_without_torchreid_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"TORCHREID_SRC=.*: no torchreid/__init__\.py there"):
        use_layout_of_environment()
