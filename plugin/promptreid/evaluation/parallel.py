"""Threads that each run tensor operations serially.

Thousands of short operations, each spread over all cores, wait for one another at every end; on a busy machine that
made ranking five hundred times slower. Here the cores get separate pieces of work instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")


def for_each(work: Callable[[Item], None], items: Iterable[Item], device: torch.device) -> None:
    """Call ``work`` on every item, in ``torch.get_num_threads()`` threads where the tensors are on the CPU."""
    threads = torch.get_num_threads()
    if threads == 1 or device.type != "cpu":
        for item in items:
            work(item)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for _ in pool.map(work, items):
                pass
    finally:
        # In part the setting belongs to a thread, in part to the process.
        torch.set_num_threads(threads)
