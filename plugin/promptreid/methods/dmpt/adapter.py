"""A bottleneck beside the MLP of a frozen block."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.embedding_rows import rows_of


class Adapter(nn.Module):
    """What is added to the output of a block's MLP: ``s (W_2 GELU(W_1 X + b_1) + b_2)``, X = what the MLP reads.

    W_2 and b_2 start at zero, so that training starts with the untouched block; W_1 is Xavier. All tokens go through
    it, prompts too.

    With one set of weights per modality, W_1 of all of them are applied at once and an image's hidden values of other
    modalities are zero. That costs their number times as much, a small share of the block, and has one shape and a
    gradient for every weight whatever a batch shows.

    Args:
        dim: D.
        width: Of the bottleneck.
        sets: Modalities with weights of their own; 1 for weights that they share.
        scale: s.

    References:
        Chen et al., AdaptFormer: Adapting Vision Transformers for Scalable Visual Recognition, NeurIPS 2022
        (s = 0.1); He et al., Towards a Unified View of Parameter-Efficient Transfer Learning, ICLR 2022.
    """

    learning_rate_roles: ClassVar = {"": "adapters"}

    def __init__(self, dim: int, width: int, sets: int = 1, scale: float = 0.1) -> None:
        super().__init__()
        self.width, self.sets, self.scale = width, sets, scale
        self.down, self.up = nn.Linear(dim, sets * width), nn.Linear(sets * width, dim, bias=False)
        self.offset = nn.Parameter(torch.zeros(sets, dim))
        for part in self.down.weight.detach().chunk(sets):
            nn.init.xavier_uniform_(part)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)

    def forward(self, tokens: Tensor, modality: Tensor) -> Tensor:
        """From normed tokens (n, k, D) of images of modality (n,) to what is added, (n, k, D)."""
        hidden = F.gelu(self.down(tokens.to(self.down.weight.dtype)))
        if self.sets == 1:
            return self.scale * (self.up(hidden) + self.offset)
        others = modality[:, None] != torch.arange(self.sets, device=modality.device)
        split = hidden.unflatten(-1, (self.sets, self.width))
        own = split.masked_fill(others[:, None, :, None], 0.0).flatten(-2)
        return self.scale * (self.up(own) + rows_of(self.offset, modality)[:, None])
