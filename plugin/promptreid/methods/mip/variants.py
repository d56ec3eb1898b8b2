"""Parts of MIP's ablations: what the authors' code has in the place of a part, or beside it.

The released code shows that these variants were tried, not their results. Where its text does not say how a part
works, the docstring says what was reconstructed. All of them are off by default.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.backbones.partial_block import Context
from promptreid.models.heads import BNNeck
from promptreid.models.inputs import being_traced

BANK_SIZE = 64
ADAPTER_WIDTH = 64


class PromptBank(nn.Module):
    """A bank of prompts, fused by softmax weights that the image decides, in the place of the generator.

    With x the mean of the patch tokens before a block, normalised without parameters, and B_1 .. B_S the entries of the
    bank, j prompts each, ``P = sum_s softmax(W x + a)_s B_s``. All layers share the bank and the selector.

    The authors' code has a variant like this, with 64 entries and softmax-fused selection. What an entry is, what it
    is selected by and how both are initialised (trunc-normal 0.02, bias 0) are reconstructed.

    Args:
        length: j, prompts per layer.
        dim: D.
        size: S, entries of the bank.
    """

    learning_rate_roles: ClassVar = {"library": "prompts"}

    def __init__(self, length: int, dim: int, size: int = BANK_SIZE) -> None:
        super().__init__()
        self.library = nn.Parameter(torch.empty(size, length, dim))
        self.selector = nn.Linear(dim, size)
        nn.init.trunc_normal_(self.library, std=0.02)
        nn.init.trunc_normal_(self.selector.weight, std=0.02)
        nn.init.zeros_(self.selector.bias)

    def forward(self, patches: Tensor, turns: Tensor | None = None) -> Context:
        """The j prompts for patch tokens (B, N, D), of which only the mean counts, wherever they are."""
        summary = F.layer_norm(patches.mean(dim=1), patches.shape[-1:])
        weights = self.selector(summary).softmax(dim=-1)
        return Context(torch.einsum("bs,sjd->bjd", weights, self.library))


class PromptAdapter(nn.Module):
    """A residual adapter on the prompts of one layer: ``P + fc2(GELU(fc1(P)))``.

    The released checkpoint holds such adapters with a bottleneck of 64, one per block before the head block, which its
    forward pass does not run. The activation, the start as identity (fc2 is zero) and that both kinds of prompts pass
    through it, instance prompts before IAEL reads them, are reconstructed.

    Args:
        dim: D.
        width: Of the bottleneck.
    """

    def __init__(self, dim: int, width: int = ADAPTER_WIDTH) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, width)
        self.fc2 = nn.Linear(width, dim)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, prompts: Context) -> Context:
        """Shape (B, n, D) in and out; copies stay copies."""
        return prompts._replace(tokens=prompts.tokens + self.fc2(F.gelu(self.fc1(prompts.tokens))))


class ModalityBNNeck(nn.ModuleList):
    """A BNNeck per modality: its own statistics and scale, so that modalities are normalised apart.

    The authors' code has a variant with modality-specific BN; that it is the features' BNNecks, and not those of the
    instance prompts, is reconstructed.

    Args:
        dim: D.
        modalities: How many.
    """

    def __init__(self, dim: int, modalities: int) -> None:
        super().__init__(BNNeck(dim) for _ in range(modalities))

    def forward(self, features: Tensor, modality: Tensor) -> Tensor:
        """Normalise features (B, D) of modality (B,); returns (B, D).

        In training, a modality with a single image in the batch is normalised with its running statistics.
        """
        rows = [] if being_traced() else [(modality == number).nonzero().squeeze(1) for number in range(len(self))]
        if not self.training or not rows or any(len(row) == 1 for row in rows):  # no shape depends on the modalities
            every = torch.stack([neck(features, modality == number) for number, neck in enumerate(self)])
            return every[modality, torch.arange(modality.shape[0], device=modality.device)]
        parts = [neck(features[row]) for neck, row in zip(self, rows, strict=True) if len(row)]
        return torch.cat(parts)[torch.cat(rows).argsort()]
