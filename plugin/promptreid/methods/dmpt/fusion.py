"""How much each modality of a sample counts in its descriptor."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.embedding_rows import rows_of
from promptreid.models.present_images import Slots


class Fusion(nn.Module):
    """A weight for each feature of a sample, over the n modalities there: ``w^m = n exp(a^m) / sum_o exp(a^o)``.

    The score is linear in the feature, ``a^m = u_m LN(f^m) + b_m``, with weights of each modality's own; the norm has
    no parameters. u and b start at zero, where every weight is 1 exactly. The mean weight of a sample is always 1, and
    a sample with one image has 1.

    A score depends on its own feature alone. So the weights of a subset are those of the whole sample up to a factor,
    and what is cut out of a descriptor is, up to its scale, what the subset itself gives.

    Args:
        modalities: How many.
        dim: Of the features.

    References:
        Weights of each instance for the modalities' features are a part of PEFT-BoA, AAAI 2026,
        doi 10.1609/aaai.v40i8.37537; this form is simpler.
    """

    def __init__(self, modalities: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(modalities, dim))
        self.offset = nn.Parameter(torch.zeros(modalities, 1))

    def forward(self, features: Tensor, slots: Slots) -> Tensor:
        """Weights (n, 1) of the features (n, D_out) of the images."""
        normed = F.layer_norm(features, features.shape[-1:])
        scores = (normed * rows_of(self.weight, slots.modality)).sum(dim=-1, keepdim=True)
        joined = slots.join(scores + rows_of(self.offset, slots.modality))
        largest = joined.detach().masked_fill(~slots.present, -torch.inf).amax(dim=1, keepdim=True)
        powers = (joined - largest).masked_fill(~slots.present, -torch.inf).exp()
        # The mean of ones is 1 exactly, where n times the n-th part of 1 need not be.
        mean = powers.sum(dim=1, keepdim=True) / slots.present.sum(dim=1, keepdim=True)
        return slots.part(powers / mean)
