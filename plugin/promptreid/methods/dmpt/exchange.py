"""What the modalities of a sample tell each other inside a block."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.present_images import Slots


class ExchangeAdapter(nn.Module):
    """What is added to the output of a block's MLP from the sample's other images, at the same place.

    ``W_2 mean_o GELU(W_1 X^o + b_1)`` over the other modalities o that are there; X = what the MLP reads. One set of
    weights serves every direction. W_2 starts at zero and has no bias: an image that is alone is told nothing, exactly.
    The class token is told by class tokens, a register by the same one of the others, a patch by those of its place;
    prompts are left to the bind.

    Args:
        dim: D.
        width: Of the bottleneck.

    References:
        Cao et al., Bi-directional Adapter for Multimodal Tracking (BAT), AAAI 2024, arXiv 2312.10611. It has two
        modalities, two of these in each block (beside the attention, too) and one more map between the two.
    """

    learning_rate_roles: ClassVar = {"": "adapters"}

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(dim, width), nn.Linear(width, dim, bias=False)
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)

    def forward(self, tokens: Tensor, slots: Slots) -> Tensor:
        """From normed tokens (n, k, D) of the images to what is added to each, (n, k, D)."""
        hidden = F.gelu(self.down(tokens.to(self.down.weight.dtype)))
        joined = slots.join(hidden.flatten(1)).unflatten(1, (slots.present.shape[1], -1))
        heard = shares_of_others(slots.present, joined.dtype) @ joined
        told: Tensor = self.up(slots.part(heard.flatten(1)).unflatten(1, hidden.shape[1:]))
        return told


def shares_of_others(present: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """How much slot m takes of slot o, for flags (B, M): (B, M, M).

    1 over the number of other images that are there; 0 for itself and for what is missing.
    """
    itself = torch.eye(present.shape[1], dtype=torch.bool, device=present.device)
    others = (present[:, None] & ~itself).to(dtype)
    return others / others.sum(dim=-1, keepdim=True).clamp(min=1)
