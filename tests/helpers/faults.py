"""Failures at every step of a write."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
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
