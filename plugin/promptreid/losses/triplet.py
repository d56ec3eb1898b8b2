"""Batch-hard triplet loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.losses.distance import check_batch, pairwise_euclidean, zero_of


class BatchHardTripletLoss(nn.Module):
    """Batch-hard triplet loss on Euclidean distances of unnormalised features.

    For each anchor, with its farthest positive at d_ap and its nearest negative at d_an: ``log(1 + exp(d_ap - d_an))``
    with the soft margin, ``max(0, d_ap - d_an + margin)`` else; the mean over anchors. Modalities are not told apart.
    Anchors without another image of their identity, or without one of another, do not count.

    - [0]: Hermans et al., In Defense of the Triplet Loss for Person Re-Identification, 2017

    Attributes:
        margin: The margin; None for the soft margin.

    Raises:
        ValueError: If margin is negative.

    Examples:
        >>> loss = BatchHardTripletLoss()(features, pids)
    """

    def __init__(self, margin: float | None = None) -> None:
        super().__init__()
        if margin is not None and margin < 0:
            raise ValueError(f"margin must be at least 0, or None for the soft margin, got {margin}")
        self.margin = margin

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Args: inputs, features, shape (B, D); targets, identities, shape (B,). Returns a scalar."""
        check_batch(inputs, targets)
        distances = pairwise_euclidean(inputs)
        same = targets[:, None] == targets[None, :]
        positive = same & ~torch.eye(len(targets), dtype=torch.bool, device=same.device)
        valid = positive.any(dim=1) & (~same).any(dim=1)
        if not valid.any():
            return zero_of(inputs)
        farthest = distances.masked_fill(~positive, -torch.inf).amax(dim=1)[valid]
        nearest = distances.masked_fill(same, torch.inf).amin(dim=1)[valid]
        if self.margin is None:
            return F.softplus(farthest - nearest).mean()
        return F.relu(farthest - nearest + self.margin).mean()
