"""How much memory a training uses."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_STATM = Path("/proc/self/statm")
_GIB = 2**30


def memory(cuda: bool) -> dict[str, float]:
    """``cpu_resident``, of this process now, and ``gpu_peak``, the most that was allocated, in GiB.

    No GPU is waited for. Where the operating system does not tell (no Linux), ``cpu_resident`` is missing.
    """
    found = {}
    if _STATM.exists():
        pages = int(_STATM.read_text().split()[1])
        found["cpu_resident"] = pages * os.sysconf("SC_PAGE_SIZE") / _GIB
    if cuda:
        found["gpu_peak"] = torch.cuda.max_memory_allocated() / _GIB
    return found
