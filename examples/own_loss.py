"""A loss of your own: cross-entropy and circle loss (Sun et al., CVPR 2020), for any model.

    python tools/train_net.py --config-file examples/own.yaml plugins '[examples/own_loss.py]' \
        loss.name circle loss.circle.margin 0.3
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import promptreid
from promptreid import Key, Range


class CircleLoss(nn.Module):
    """``softplus(logsumexp(negatives) + logsumexp(positives))`` of cosines, each pair weighted by how wrong it is."""

    def __init__(self, margin: float = 0.25, scale: float = 64.0, weight: float = 1.0) -> None:
        super().__init__()
        self.margin, self.scale, self.weight = margin, scale, weight

    def forward(self, inputs: Mapping[str, Any], targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        identity = F.cross_entropy(inputs["logits"][0], targets)
        circle = self.circle(inputs["features"][0], targets)
        return identity + self.weight * circle, {"identity": identity.detach(), "circle": circle.detach()}

    def circle(self, features: Tensor, targets: Tensor) -> Tensor:
        """Mean over anchors; features (B, D), targets (B,)."""
        cosine = F.normalize(features, dim=1) @ F.normalize(features, dim=1).T
        same = targets[:, None] == targets
        positive = same & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
        pull = -self.scale * F.relu(1 + self.margin - cosine.detach()) * (cosine - 1 + self.margin)
        push = self.scale * F.relu(cosine.detach() + self.margin) * (cosine - self.margin)
        pull, push = pull.masked_fill(~positive, -torch.inf), push.masked_fill(same, -torch.inf)
        return F.softplus(pull.logsumexp(dim=1) + push.logsumexp(dim=1)).mean()


promptreid.register_loss(
    "circle",
    CircleLoss,
    keys=(
        Key("margin", 0.25, "of the cosines", range=Range(0, 1)),
        Key("scale", 64.0, "of the cosines in the exponent", range=Range(0, open_low=True)),
        Key("weight", 1.0, "beside the cross-entropy", range=Range(0)),
    ),
)
