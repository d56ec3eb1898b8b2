"""Failures at every step of a write."""

from __future__ import annotations

import io
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from promptreid import files


class Faults:
    """Fails at the n-th of the system calls of a write: before it, or after half of the bytes."""

    def __init__(self, at: int, fail: Callable[[], None]) -> None:
        self.at, self.fail, self.count = at, fail, 0

    def hit(self) -> None:
        self.count += 1
        if self.count == self.at:
            self.fail()

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.hit()
            return function(*arguments, **named)

        return call

    def install(self, patch: pytest.MonkeyPatch) -> None:
        faults = self

        class File(io.FileIO):
            def write(self, data: Any) -> int:
                faults.hit()
                whole = bytes(data)
                super().write(whole[: len(whole) // 2])
                faults.hit()
                return len(whole) // 2 + super().write(whole[len(whole) // 2 :])

            def close(self) -> None:
                faults.hit()
                super().close()

        opened = self.around(lambda path, mode: io.BufferedWriter(File(path, "w"), 256))
        patch.setattr(files, "open", opened, raising=False)
        for name in ("fsync", "replace", "open"):
            patch.setattr(os, name, self.around(getattr(os, name)))
        for name in ("unlink", "mkdir", "rmdir", "write_bytes"):
            patch.setattr(Path, name, self.around(getattr(Path, name)))


@contextmanager
def little_room(most: int) -> Iterator[None]:
    """Within the block, the kernel lets no file of this process grow beyond ``most`` bytes: a write fails in it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def small_disk(folder: Path, size: str = "256k") -> Iterator[Path]:
    """A disk of this size in memory, where this process may mount one; else the test is skipped."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this process may mount no disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
