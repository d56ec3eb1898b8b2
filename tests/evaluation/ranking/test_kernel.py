"""The kernel compiles where nothing can be kept; its ranks are tested in test_counter.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


def test_it_compiles_without_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba")
    from promptreid.evaluation.ranking import kernel

    compile_ = numba.njit

    def without_a_folder(*, cache: bool = False, **options: Any) -> Callable[..., Any]:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compile_(**options)

    monkeypatch.setattr(numba, "njit", without_a_folder)
    doubled = kernel._compile(_double)
    values = np.ones(3)
    doubled(values)
    assert values.tolist() == [2, 2, 2]


def _double(values: np.ndarray) -> None:
    for index in range(values.size):
        values[index] *= 2
