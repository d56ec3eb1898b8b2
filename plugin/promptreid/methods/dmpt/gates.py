"""Learned scalars of the prompted blocks."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn


class BlockScalars(nn.Module):
    """One learned number per prompted block: a gate, or the logarithm of a temperature.

    Args:
        blocks: How many.
        start: Where all of them start.
    """

    learning_rate_roles: ClassVar = {"values": "prompts"}

    prompt_family = "gates"

    def __init__(self, blocks: int, start: float = 0.0) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.full((blocks,), start))

    def forward(self, number: int) -> Tensor:
        """The scalar of block ``number``, counted from 0 at the first prompted one."""
        return self.values[number]
