from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from promptreid.models.embedding_rows import rows_of


def gradients(select: Callable[[Tensor, Tensor], Tensor], runs: int = 30) -> list[Tensor]:
    """The gradient of a table of 2 rows after 256 look-ups, on two threads, from ``runs`` equal runs."""
    torch.manual_seed(0)
    table, rows, weights = torch.randn(2, 16, 192), torch.randint(2, (256,)), torch.randn(256, 16, 192)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = []
        for _ in range(runs):
            leaf = table.clone().requires_grad_()
            (select(leaf, rows) * weights).sum().backward()
            found.append(leaf.grad)
        return found
    finally:
        torch.set_num_threads(threads)


def test_looking_rows_up_is_indexing_with_a_reproducible_gradient() -> None:
    first, *others = gradients(rows_of)
    assert all(torch.equal(first, other) for other in others)
    # torch sums some 128 numbers around 1 in an order of its own, another one in each run.
    torch.testing.assert_close(first, gradients(lambda table, rows: table[rows], runs=1)[0], rtol=0.0, atol=1e-4)
    table, rows = torch.randn(3, 4, 5), torch.tensor([2, 0, 2])
    assert torch.equal(rows_of(table, rows), table[rows])
