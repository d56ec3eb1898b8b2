"""Low-rank changes of a frozen block's queries and values."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor, nn


class LowRankChange(nn.Module):
    """``(alpha / r) B A x``: A is Kaiming uniform and B zero at the start, as in LoRA.

    Args:
        dim: D.
        rank: r.
        alpha: See above.
    """

    def __init__(self, dim: int, rank: int, alpha: float) -> None:
        super().__init__()
        self.scale = alpha / rank
        self.down, self.up = nn.Linear(dim, rank, bias=False), nn.Linear(rank, dim, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.up.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """From tokens (n, k, D) to what is added to their projection, (n, k, D)."""
        change: Tensor = self.up(self.down(tokens.to(self.down.weight.dtype)))
        return self.scale * change


class LoRA(nn.Module):
    """Changes of W_Q and W_V of one block's attention, ``W x + (alpha / r) B A x``.

    Queries and values: with the same number of parameters, the paper finds these two together better than any one
    matrix at twice the rank and as good as all four. A change of the keys is, in the scores ``(W_Q x)^T W_K y``,
    mostly one that the queries can make as well.

    The changes are computed beside the frozen weights and never merged into them: several trainings share one tower in
    memory, and its digest has to stay.

    Args:
        dim: D.
        rank: r.
        alpha: Of the scale alpha / r.

    References:
        Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022, section 7.1.
    """

    learning_rate_roles: ClassVar = {"": "adapters"}

    def __init__(self, dim: int, rank: int, alpha: float) -> None:
        super().__init__()
        self.query, self.value = LowRankChange(dim, rank, alpha), LowRankChange(dim, rank, alpha)
