"""The command promptreid in this process, and Python in a fresh one."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from promptreid.cli import main

REPO = Path(__file__).parents[2]


def promptreid(*arguments: object) -> int:
    """The exit code of ``promptreid`` with these arguments."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def python(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that finds what this one finds."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def printed_by(code: str, **environment: str) -> str:
    """Standard output and error of a fresh interpreter that runs ``code``."""
    done = python("-c", textwrap.dedent(code), **environment)
    return done.stdout + done.stderr
