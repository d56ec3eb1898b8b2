"""Threads that each run tensor operations serially.

Short operations that are spread over all cores wait for the slowest core at each end. On a machine that is busy with
other work this made ranking ten times slower and more. Here the cores get separate pieces of work instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch


def for_each(work: Callable[..., None], items: Iterable[tuple[Any, ...]], device: torch.device) -> None:
    """Call ``work(*item)`` for every item, in ``torch.get_num_threads()`` threads where the tensors are on the CPU."""
    threads = torch.get_num_threads()
    if threads == 1 or device.type != "cpu":
        for item in items:
            work(*item)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for _ in pool.map(lambda item: work(*item), items):
                pass
    finally:
        # In part the setting belongs to a thread, in part to the process.
        torch.set_num_threads(threads)
