"""Visual-language alignment loss of DMPT."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.precision import at_least_float32
from promptreid.models.present_images import NO_IMAGE


class ModalityTextLoss(nn.Module):
    """Contrastive loss L3 between image features and the sentences of the modalities.

    ``L_vl = - mean_{b,m} log( exp(cos(f_b^m, t^m) / tau) / sum_m' exp(cos(f_b^m, t^m') / tau) )``, over the images
    that are there. The logits ``cos / tau`` are the model's. Where sentences are about identities, the sum is over
    these.

    Symmetric, it is the mean of this and of the contrast among the images of the batch, each with its sentence t^y:
    ``- mean_i log( exp(cos(f_i, t^{y_i}) / tau) / sum_j exp(cos(f_j, t^{y_i}) / tau) )``, as CLIP-ReID's text-to-image
    loss has it. (About identities, t^{y_i} is for each image j the sentence with the modality of j.)

    - [0]: Lin et al., DMPT: Decoupled Modality-aware Prompt Tuning for Multi-modal Object Re-identification, WACV 2025
      (that the loss is contrastive is known; this form of it is reconstructed)
    - [1]: Li et al., CLIP-ReID: Exploiting Vision-Language Model for Image Re-Identification without Concrete Text
      Labels, AAAI 2023

    Args:
        symmetric: See above.

    Examples:
        >>> loss = ModalityTextLoss()(output["alignment_logits"], output["modality"])
    """

    def __init__(self, symmetric: bool = False) -> None:
        super().__init__()
        self.symmetric = symmetric

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Args: inputs, logits, shape (n, sentences); targets, numbers of sentences, shape (n,). Returns a scalar.

        Rows whose target is :data:`~promptreid.models.present_images.NO_IMAGE` do not count.
        """
        logits = at_least_float32(inputs)
        loss = F.cross_entropy(logits, targets)
        return (loss + _among_images(logits, targets)) / 2 if self.symmetric else loss


def _among_images(logits: Tensor, targets: Tensor) -> Tensor:
    """The contrast of each image's sentence among the images."""
    real = targets != NO_IMAGE
    among = logits.masked_fill(~real[:, None], -math.inf).log_softmax(dim=0)
    own = among.gather(1, targets.clamp(min=0)[:, None]).squeeze(1)
    return -own.masked_fill(~real, 0.0).sum() / real.sum()
