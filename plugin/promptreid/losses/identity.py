"""Identity classification loss."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.precision import at_least_float32


class IdentityLoss(nn.Module):
    """Cross-entropy of identity logits, by default without label smoothing, as MIP uses it.

    Attributes:
        label_smoothing: Share of the target spread evenly over all classes, in [0, 1).

    Raises:
        ValueError: If label_smoothing is out of range.

    Examples:
        >>> loss = IdentityLoss()(logits, pids)
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}")
        self.label_smoothing = label_smoothing

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Args: inputs, logits, shape (B, C); targets, classes, shape (B,). Returns a scalar."""
        return F.cross_entropy(at_least_float32(inputs), targets, label_smoothing=self.label_smoothing)
