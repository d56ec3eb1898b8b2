"""Modality prompts that depend on the image."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ContentPrompts(nn.Module):
    """What an image's content changes in its modality prompts: ``W_2 GELU(W_1 norm(mean(E)))``, M vectors.

    E are the image's patch tokens where its modality prompts enter a block; the norm has no parameters. W_2 and its
    bias start at zero, so that training starts with prompts that are constant. The weights are shared by the modalities
    and the blocks.

    Constant prompts can only shift what a block gives in a fixed direction; prompts made of the input are not so
    limited.

    Args:
        dim: D.
        length: M.
        width: Of the bottleneck.

    References:
        Le et al., Adaptive Prompt: Unlocking the Power of Visual Prompt Tuning (VAPT), arXiv 2501.18936, whose prompts
        are made of all patches by learned aggregators; the mean and the bottleneck here are simpler.
    """

    prompt_family = "content"

    def __init__(self, dim: int, length: int, width: int) -> None:
        super().__init__()
        self.length = length
        self.down, self.up = nn.Linear(dim, width), nn.Linear(width, length * dim)
        nn.init.xavier_uniform_(self.down.weight)
        for tensor in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(tensor)

    def forward(self, patches: Tensor) -> Tensor:
        """Patch tokens (n, N, D) to changes (n, M, D)."""
        mean = patches.to(self.down.weight.dtype).mean(dim=1)
        hidden = F.gelu(self.down(F.layer_norm(mean, mean.shape[-1:])))
        changes: Tensor = self.up(hidden)
        return changes.unflatten(1, (self.length, -1))
