"""Preparation of CPU-only machines before the import of torch and torchvision.

OpenMP's threads spin while they wait for each other. Beside loader workers, or anything else that wants the cores,
this made a small model's training step on two cores five times slower (0.95 s instead of 0.18 s). Threads that sleep
cost that step a third when it has the cores for itself (0.15 s instead of 0.11 s); OMP_WAIT_POLICY=ACTIVE brings the
spinning back.

A plain ``pip install`` there can pair a CPU build of torch with a torchvision built for CUDA. Its native library
then doesn't load, and ``import torchvision`` ends with ``operator torchvision::nms does not exist``, because it
registers shape functions for operators that nobody defined. Declaring the two schemas is enough: nothing in
re-identification calls them.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Read when torch loads its OpenMP library; where torch was imported before, this has no effect.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_library: torch.library.Library | None = None  # a Library undefines its operators when it is collected


def torchvision_operators_load() -> bool:
    """True when torchvision's native operators are there, or can be loaded, in this process."""
    import torch

    if hasattr(torch.ops.torchvision, "nms"):
        return True
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    for path in sorted(Path(spec.origin).parent.glob("_C*")):
        try:
            torch.ops.load_library(str(path))
        except OSError:
            continue
        return hasattr(torch.ops.torchvision, "nms")
    return False


def declare_torchvision_operators() -> bool:
    """Declare ``torchvision::nms`` and ``qnms`` where the native ones don't load.

    Returns:
        True when the schemas were declared, False when there was nothing to do.
    """
    return "torchvision" not in sys.modules and declare_before_torchvision_runs()


def declare_before_torchvision_runs() -> bool:
    """The same, for torchvision's loader: its module is there already, and none of its code has run."""
    import torch

    global _library
    if _library is not None or torchvision_operators_load():
        return False
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS.values():
        _library.define(schema)
    return True
