"""What a run of a table was made with: the commit of the code, versions, processor, threads."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import timm
import torch

from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.checkpoints.random_state import git_commit, versions
from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.files import write_text
from promptreid.runs.tables.record import CHANGED
from promptreid.versions import version_of

_FILE = "made_with.json"
_PACKAGE = Path(__file__).resolve().parents[2]


@lru_cache(maxsize=1)
def code_commit() -> str:
    """The commit of the checkout that this package lies in, with :data:`CHANGED` where it differs; empty outside one.

    Only the package and the configurations count: results that a table writes into the same checkout change no number.
    """
    commit = git_commit().removesuffix(CHANGED)
    command = ["git", "-C", str(_PACKAGE), "status", "--porcelain", "--", str(_PACKAGE)]
    configs = _PACKAGE.parents[1] / "configs"
    try:
        found = subprocess.run(
            [*command, *([str(configs)] if configs.is_dir() else [])],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return commit
    return commit + (CHANGED if commit and found.stdout.strip() else "")


def environment() -> dict[str, Any]:
    """What decides on the bits and the speed of a training."""
    return {
        **versions(),
        "timm": str(timm.__version__),
        "open_clip": version_of("open_clip_torch"),
        "processor": _processor(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "threads": torch.get_num_threads(),
    }


def save_made_with(folder: Path, commits: Sequence[str]) -> None:
    """Write the commits at which a run was started and continued, in this order, and :func:`environment`."""
    record = {"commits": [commit for commit in dict.fromkeys(commits) if commit], "environment": environment()}
    write_text(folder / _FILE, json.dumps(record, indent=1))


def made_with(folder: Path) -> dict[str, Any]:
    """What :func:`save_made_with` has written: ``commits`` and ``environment``; both empty where it hasn't."""
    path = folder / _FILE
    if not path.exists():
        return {"commits": [], "environment": {}}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def commit_of_checkpoint(folder: Path) -> str:
    """The commit at which an interrupted training was last continued; empty where there is no checkpoint."""
    models = RunFolder(folder).models
    return str(checkpoint.load_newest(models)[1].get("git", "")) if checkpoint.checkpoints(models) else ""


def _processor() -> str:
    """The processor's name, where the system says it, and its cores."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8", errors="replace").splitlines() if information.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{named[0] if named else platform.processor() or platform.machine()}, {os.cpu_count()} cores"
