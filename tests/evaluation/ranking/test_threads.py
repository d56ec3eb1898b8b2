"""Threads do all the work, report errors, and leave torch's setting alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from promptreid.evaluation.ranking.threads import for_each


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_every_item_once_with_serial_operations(threads: int) -> None:
    seen: list[int] = []
    inside: set[int] = set()
    lock = threading.Lock()

    def work(item: int) -> None:
        with lock:
            seen.append(item)
            inside.add(torch.get_num_threads())

    for_each(work, zip(range(50), strict=True), torch.device("cpu"))
    assert sorted(seen) == list(range(50)) and inside == {1}
    assert torch.get_num_threads() == threads


def test_errors_come_out(threads: int) -> None:
    def work(item: int) -> None:
        raise KeyError(item)

    with pytest.raises(KeyError):
        for_each(work, [(1,), (2,)], torch.device("cpu"))
    assert torch.get_num_threads() == threads
