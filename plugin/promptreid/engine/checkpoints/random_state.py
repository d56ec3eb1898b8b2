"""What a run needs to be repeated or continued: random states, and the versions it was made with."""

from __future__ import annotations

import platform
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from promptreid import host
from promptreid.versions import version_of


def seed_everything(seed: int, epoch: int = 0, rank: int = 0) -> None:
    """Seed Python, NumPy and torch for one epoch, each of several processes differently."""
    mixed = int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1)[0])
    random.seed(mixed)
    np.random.seed(mixed)
    torch.manual_seed(mixed)


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Whatever is seeded and drawn in the block, Python, NumPy and torch go on afterwards as if it had not been there.

    Also a decorator.
    """
    python, numpy, own = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(own)
        if devices:
            torch.cuda.set_rng_state_all(devices)


def rng_state() -> dict[str, Any]:
    """The random states of Python, NumPy, torch and its GPUs, as tensors and primitives."""
    numpy: Any = np.random.get_state(legacy=False)
    return {
        "python": random.getstate(),
        "numpy": {**numpy, "state": {"key": numpy["state"]["key"].tolist(), "pos": numpy["state"]["pos"]}},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Go on with the random numbers that would have followed ``rng_state()``."""
    random.setstate(state["python"])
    numpy = state["numpy"]
    key = np.array(numpy["state"]["key"], dtype=np.uint32)
    np.random.set_state({**numpy, "state": {**numpy["state"], "key": key}})
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide on the numbers."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "promptreid": version_of("promptreid"),
        "torchreid": str(host.torchreid.__version__),
    }


@lru_cache(maxsize=1)
def git_commit() -> str:
    """The commit of the checkout that this package lies in, with ``-dirty`` where files were changed; or empty."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
