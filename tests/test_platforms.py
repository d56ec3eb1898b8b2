"""What only POSIX, or only Linux, has is done without where it is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from promptreid import files
from promptreid.data import packing
from promptreid.engine.views import memory

ROOT = Path(__file__).parents[1]
WITHOUT = """
import os, signal, sys
import promptreid, torch
from promptreid import files
files.fcntl = None
for name in ("posix_fallocate", "sched_getaffinity", "getpgid", "setsid"):
    delattr(os, name)
from small_runs import small_config
from promptreid.data.packing import files_of, write_pack
from promptreid.runs.build import build_datamanager
from promptreid.runs.run import run
del signal.SIGCHLD
os.name = "other"
from pathlib import Path
root, folder = Path(sys.argv[1]), Path(sys.argv[2])
changes = {"train.max_epoch": 1, "train.warmup_epochs": 0}
cfg = small_config(root, folder / "run", **changes)
run(cfg)
run(cfg, eval_only=True)
pack = files_of(build_datamanager(cfg, False).train_loader.dataset.data)
write_pack(folder / "p.npy", cfg.data.root, pack, 32, 16, "bilinear")
run(cfg, resume="auto")
assert not list(folder.rglob(".lock")), "a lock stayed"
"""


@pytest.mark.slow
def test_a_training_without_what_posix_has(small_root: Path, tmp_path: Path) -> None:
    """Trained, tested, packed and resumed; locks are files, no folder is synced, no room is reserved."""
    paths = os.pathsep.join([str(ROOT / "plugin"), str(ROOT / "tests" / "helpers")])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(small_root), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "run" / "results-sysu_mm01.json").is_file()


def test_folders_are_not_synced_where_they_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    system = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest: opened.append(str(path)) or system(path, *rest))
    files.write_text(tmp_path / "a.txt", "a")
    assert str(tmp_path) in opened
    opened.clear()
    monkeypatch.setattr(os, "name", "other")
    files.write_text(tmp_path / "a.txt", "b")
    assert opened and str(tmp_path) not in opened
    assert (tmp_path / "a.txt").read_text() == "b"


def test_packs_are_written_without_reserving_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    np.save(tmp_path / "a.npy", np.zeros(3))
    before = (tmp_path / "a.npy").read_bytes()
    packing._keep_room(tmp_path / "a.npy")
    assert (tmp_path / "a.npy").read_bytes() == before


def test_memory_is_told_on_linux_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "linux":
        assert 0 < memory.memory(False)["cpu_resident"] < 1000
    monkeypatch.setattr(memory, "_STATM", Path("/no such file"))
    assert memory.memory(False) == {}
