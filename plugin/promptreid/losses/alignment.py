"""Visual-language alignment loss of DMPT."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.precision import at_least_float32


class ModalityTextLoss(nn.Module):
    """L3, the contrast of image features with the sentences of the modalities.

    ``L_vl = - mean_{b,m} log( exp(cos(f_b^m, t^m) / tau) / sum_m' exp(cos(f_b^m, t^m') / tau) )``, over the images
    that are there. The logits ``cos / tau`` are the model's.

    - [0]: Lin et al., DMPT: Decoupled Modality-aware Prompt Tuning for Multi-modal Object Re-identification, WACV 2025
      (that the loss is contrastive is known; this form of it is reconstructed)

    Examples:
        >>> loss = ModalityTextLoss()(output["alignment_logits"], output["modality"])
    """

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Args: inputs, logits, shape (n, modalities); targets, modality ids, shape (n,). Returns a scalar."""
        return F.cross_entropy(at_least_float32(inputs), targets)
