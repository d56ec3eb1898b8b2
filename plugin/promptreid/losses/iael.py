"""Instance-aware enhancement loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.precision import at_least_float32


class InstanceAwareEnhancementLoss(nn.Module):
    """IAEL: the instance prompts of every layer should tell the identity.

    The mean over layers of the cross-entropy of each layer's logits. How prompts become logits (pooling, BNNeck and
    classifier per layer) belongs to the model; this loss takes the logits.

    - [0]: Wu et al., Enhancing Visible-Infrared Person Re-identification with Modality- and Instance-aware Visual
      Prompt Learning, ICMR 2024

    Examples:
        >>> loss = InstanceAwareEnhancementLoss()(output["prompt_logits"], pids)
    """

    def forward(self, inputs: Sequence[Tensor], targets: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            inputs: Logits of each prompted layer, each of shape (B, C).
            targets: Classes, shape (B,).

        Returns:
            A scalar.

        Raises:
            ValueError: If there are no layers.
        """
        if not len(inputs):
            raise ValueError("IAEL got no prompt logits; build the model with iael=True or set the loss's weight to 0")
        return torch.stack([F.cross_entropy(at_least_float32(logits), targets) for logits in inputs]).mean()
