"""Modality-shared enhancement loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from promptreid.losses.distance import check_batch, pairwise_euclidean, zero_of


class ModalitySharedEnhancementLoss(nn.Module):
    """MSEL: equalises an anchor's mean distances to positives across modalities and within its own.

    For each anchor, ``intra`` is the mean Euclidean distance to the other images of its identity in its modality,
    ``cross`` the one to those in other modalities. The loss is the mean of ``(cross - intra)^2`` over the anchors of a
    modality, averaged over modalities. Anchors that lack either kind of positive do not count, nor do modalities
    without anchors.

    - [0]: Lu et al., Learning Progressive Modality-shared Transformers for Effective Visible-Infrared Person
      Re-identification, AAAI 2023

    Examples:
        >>> loss = ModalitySharedEnhancementLoss()(features, pids, modality)
    """

    def forward(self, inputs: Tensor, targets: Tensor, modality: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            inputs: Features, shape (B, D).
            targets: Identities, shape (B,).
            modality: Modality ids, shape (B,).

        Returns:
            A scalar.

        Raises:
            ValueError: Other shapes, such as features of samples that have images of all modalities.
        """
        check_batch(inputs, targets)
        if len(inputs) != len(modality):
            raise ValueError(
                f"MSEL compares samples of different modalities, and got {len(inputs)} samples with {len(modality)} "
                "images: where a sample has an image of each modality, give MSEL the weight 0"
            )
        check_batch(inputs, modality)
        distances = pairwise_euclidean(inputs)
        positive = (targets[:, None] == targets[None, :]).fill_diagonal_(False)
        alike = modality[:, None] == modality[None, :]
        intra, cross = positive & alike, positive & ~alike
        valid = intra.any(dim=1) & cross.any(dim=1)
        if not valid.any():
            return zero_of(inputs)
        gaps = (_masked_mean(distances, cross) - _masked_mean(distances, intra)).square()
        return torch.stack([gaps[valid & (modality == one)].mean() for one in modality[valid].unique()]).mean()


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of each row's masked values, 0 where there are none."""
    return (values * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
