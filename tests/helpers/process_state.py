"""What a library call may not leave changed in its process."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFile


def process_state() -> dict[str, Any]:
    """Every global switch, by its name."""
    named = signal.valid_signals() & {*signal.Signals}  # some have no name in Python 3.10
    handlers = {signal.Signals(number).name: signal.getsignal(number) for number in named if number < 32}
    return {**_of_torch(), **_of_python(), **{f"signal {name}": handler for name, handler in handlers.items()}}


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs between two states."""
    return {
        name: (before.get(name), after.get(name)) for name in {*before, *after} if before.get(name) != after.get(name)
    }


def _of_torch() -> dict[str, Any]:
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "deterministic, warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "fill memory": torch.utils.deterministic.fill_uninitialized_memory,
        "cudnn": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32),
        "sdp": (cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled()),
        "tf32": cuda.matmul.allow_tf32,
        "float32 precision": torch.get_float32_matmul_precision(),
        "mkldnn": torch.backends.mkldnn.enabled,
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "autocast": (
            torch.is_autocast_enabled("cpu"),
            torch.get_autocast_dtype("cpu"),
            torch.is_autocast_cache_enabled(),
        ),
        "sharing": torch.multiprocessing.get_sharing_strategy(),
        "process group": torch.distributed.is_initialized(),
        "print": str(torch._tensor_str.PRINT_OPTS),
    }


def _of_python() -> dict[str, Any]:
    root = logging.getLogger()
    gc.collect()  # writers and loaders that nobody holds any more
    return {
        "environment": dict(os.environ),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "children": len(multiprocessing.active_children()),
        "threads": sorted(thread.name for thread in threading.enumerate() if not thread.daemon),
        "folder": os.getcwd(),
        "logging": (root.level, list(root.handlers), logging.root.manager.disable),
        "streams": (sys.stdout, sys.stderr, sys.excepthook),
        "warnings": list(warnings.filters),
        "numpy": (np.geterr(), np.get_printoptions()["precision"]),
        "images": (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES),
        "recursion": sys.getrecursionlimit(),
        "path": list(sys.path),
    }
