"""One criterion over a global head and its local ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class GlobalLocalLoss(nn.Module):
    """A criterion on the global head, plus its mean over the local heads, as in TransReID and MIP.

    ``w * criterion(global) + (1 - w) * mean_k criterion(local_k)``; the criterion alone where there are no local heads.

    Attributes:
        criterion: Called as ``criterion(inputs, *labels)``.
        global_weight: w, in [0, 1].

    Raises:
        ValueError: If global_weight is out of range.

    Examples:
        >>> loss = GlobalLocalLoss(IdentityLoss())([global_logits, *local_logits], pids)
    """

    def __init__(self, criterion: nn.Module, global_weight: float = 0.5) -> None:
        super().__init__()
        if not 0 <= global_weight <= 1:
            raise ValueError(f"global_weight must be in [0, 1], got {global_weight}")
        self.criterion = criterion
        self.global_weight = global_weight

    def forward(self, inputs: Sequence[Tensor], *labels: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            inputs: Logits or features of each head, the global one first.
            labels: What else the criterion takes, the same for every head.

        Returns:
            A scalar.

        Raises:
            ValueError: If there are no heads.
        """
        if not len(inputs):
            raise ValueError("expected at least the global head's output, got an empty list")
        whole, *parts = (self.criterion(head, *labels) for head in inputs)
        if not parts:
            return whole
        return self.global_weight * whole + (1 - self.global_weight) * torch.stack(parts).mean()
