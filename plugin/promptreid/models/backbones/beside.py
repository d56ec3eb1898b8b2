"""What is added inside a block whose own weights stay as they are: beside its MLP, and to its queries and values."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

Change = Callable[[Tensor], Tensor]
"""From normed tokens (n, k, D) to what is added to something of the same shape."""


class Beside(NamedTuple):
    """What is added in one block; None adds nothing.

    Attributes:
        mlp: To the output of its MLP, from what that reads, the tokens after the second norm. They are the first of the
            sequence, as many as are read of the block.
        query: To the queries, from the tokens after the first norm; of those that are read alone.
        value: To the values, from the same, of all tokens.
    """

    mlp: Change | None = None
    query: Change | None = None
    value: Change | None = None


NOTHING = Beside()


def added(base: Tensor, change: Change | None, read: Tensor) -> Tensor:
    """``base`` and what a change adds to it, in the dtype of ``base``; as it is without one."""
    return base if change is None else base + change(read).to(base.dtype)
