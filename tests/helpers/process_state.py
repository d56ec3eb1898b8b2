"""What a library call may not leave changed in its process."""

from __future__ import annotations

import gc
import locale
import logging
import multiprocessing
import os
import random
import resource
import signal
import socket
import sys
import threading
import warnings
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image, ImageFile


def process_state() -> dict[str, Any]:
    """Every global switch, by its name."""
    named = signal.valid_signals() & {*signal.Signals}  # some have no name in Python 3.10
    handlers = {signal.Signals(number).name: signal.getsignal(number) for number in named if number < 32}
    return {
        **_of_torch(),
        **_of_python(),
        **_of_libraries(),
        **_random_states(),
        **{f"signal {name}": handler for name, handler in handlers.items()},
    }


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs between two states; of loggers, those that were there before."""
    names = {name for name in {*before, *after} if name in before or not name.startswith("logger ")}
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


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
        "reduced precision": (
            cuda.matmul.allow_fp16_reduced_precision_reduction,
            cuda.matmul.allow_bf16_reduced_precision_reduction,
            torch.backends.cudnn.benchmark_limit,
        ),
        "mkldnn precision": getattr(torch.backends.mkldnn, "fp32_precision", None),
        "einsum": (torch.backends.opt_einsum.enabled, torch.backends.opt_einsum.strategy),
        "quantised engine": torch.backends.quantized.engine,
        "anomaly nan check": torch.is_anomaly_check_nan_enabled(),
        "checks": torch.distributions.Distribution._validate_args,
        "hub": torch.hub.get_dir(),
        "hooks": len(torch.nn.modules.module._global_forward_hooks),
        "denormals": (torch.tensor(1e-310, dtype=torch.float64) * 1).item(),
    }


def _of_libraries() -> dict[str, Any]:
    numba, matplotlib = sys.modules.get("numba"), sys.modules.get("matplotlib")
    return {
        "cv2": (cv2.getNumThreads(), cv2.useOptimized()),
        "numba": None if numba is None else numba.get_num_threads(),
        "matplotlib": None if matplotlib is None else dict(matplotlib.rcParams),
        **{f"logger {name}": settings for name, settings in _loggers().items()},
    }


def _loggers() -> dict[str, tuple[Any, ...]]:
    made = [item for item in logging.root.manager.loggerDict.items() if isinstance(item[1], logging.Logger)]
    return {
        name: (logger.level, list(logger.handlers), logger.disabled, logger.propagate, list(logger.filters))
        for name, logger in made
    }


def _random_states() -> dict[str, Any]:
    """Of whoever draws from the global generators, before and after."""
    numpy: Any = np.random.get_state(legacy=False)
    return {
        "random": random.getstate(),
        "numpy's random": (numpy["bit_generator"], numpy["state"]["key"].tobytes(), numpy["state"]["pos"]),
        "torch's random": torch.get_rng_state().numpy().tobytes(),
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
        "warnings": (list(warnings.filters), warnings.showwarning),
        "hooks of Python": (sys.unraisablehook, threading.excepthook, sys.getswitchinterval()),
        "collector": (gc.isenabled(), gc.get_threshold()),
        "limits": [resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)],
        "network": socket.getdefaulttimeout(),
        "locale": locale.setlocale(locale.LC_ALL),
        "numpy": (np.geterr(), np.get_printoptions()["precision"]),
        "images": (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES),
        "recursion": sys.getrecursionlimit(),
        "path": list(sys.path),
    }
