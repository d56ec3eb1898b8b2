"""Identity and triplet loss over a model's heads: the default for methods without a loss of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.losses.global_local import GlobalLocalLoss
from promptreid.losses.identity import IdentityLoss
from promptreid.losses.triplet import BatchHardTripletLoss


class IdentityTripletLoss(nn.Module):
    """Cross-entropy of the logits and batch-hard triplet loss of the features, weighted (the baseline of the field).

    Of several heads the first one, the global head, counts half, and the mean of the others the other half.

    - [0]: Luo et al., Bag of Tricks and A Strong Baseline for Deep Person Re-identification, CVPRW 2019

    Attributes:
        weights: Weight of each part, by the names ``identity``, ``triplet``; parts of weight 0 are not computed.

    Raises:
        ValueError: If a weight is negative, or both are 0.

    Examples:
        >>> total, parts = IdentityTripletLoss()(model(batch), pids)
    """

    def __init__(
        self,
        identity_weight: float = 1.0,
        triplet_weight: float = 1.0,
        label_smoothing: float = 0.0,
        margin: float | None = None,
    ) -> None:
        super().__init__()
        self.weights = {"identity": identity_weight, "triplet": triplet_weight}
        negative = {name: weight for name, weight in self.weights.items() if weight < 0}
        if negative:
            raise ValueError(f"weights must be at least 0, got {negative}")
        if identity_weight == triplet_weight == 0:
            raise ValueError("identity_weight and triplet_weight are both 0, so nothing tells identities apart")
        self.identity = GlobalLocalLoss(IdentityLoss(label_smoothing))
        self.triplet = GlobalLocalLoss(BatchHardTripletLoss(margin))

    def forward(self, inputs: Mapping[str, Any], targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss.

        Args:
            inputs: A model's ``PromptOutput``, or any mapping with ``logits``, a list of (B, C), and ``features``, a
                list of (B, D).
            targets: Identities, shape (B,).

        Returns:
            The weighted total, and each active part, detached and before weighting, by name.
        """
        terms = {"identity": (self.identity, "logits"), "triplet": (self.triplet, "features")}
        parts = {name: loss(inputs[key], targets) for name, (loss, key) in terms.items() if self.weights[name] > 0}
        total = torch.stack([self.weights[name] * part for name, part in parts.items()]).sum()
        return total, {name: part.detach() for name, part in parts.items()}
