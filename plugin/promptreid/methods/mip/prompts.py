"""The two prompt sets of MIP: chosen by modality, and generated from the image."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from promptreid.models.backbones.partial_block import BlockFunction, Context, context_block, fresh_block
from promptreid.models.embedding_rows import rows_of


class ModalityPrompts(nn.Module):
    """Modality-aware prompt learning (MPL): a library of prompts, projected by one map that all layers share.

    ``library`` is initialised uniformly in [-s v, s v] with v = sqrt(6 / (3 p^2 + D)) (deep visual prompt tuning; p is
    the patch size), the projection by Kaiming normal, fan-out.

    Args:
        layers: N_p, how many blocks are prompted.
        modalities: How many modalities.
        length: j, prompts per layer and modality.
        dim: D.
        patch: p in pixels.
        scale: s.
        dropout: After the projection.
    """

    learning_rate_roles: ClassVar = {"library": "prompts"}

    def __init__(
        self,
        layers: int,
        modalities: int,
        length: int,
        dim: int,
        patch: tuple[int, int] = (16, 16),
        scale: float = 20.0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.library = nn.Parameter(torch.empty(layers, modalities, length, dim))
        self.projection = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)
        bound = scale * math.sqrt(6 / (3 * patch[0] * patch[1] + dim))
        nn.init.uniform_(self.library, -bound, bound)
        nn.init.kaiming_normal_(self.projection.weight, a=0, mode="fan_out")

    def forward(self, modality: Tensor) -> list[Tensor]:
        """Prompts of modality (B,) for each layer: N_p tensors (B, j, D)."""
        # Projecting the library before the selection costs modalities * j rows a layer instead of B * j.
        return [self.dropout(rows_of(prompts, modality)) for prompts in self.projection(self.library)]

    def folded(self) -> FoldedModalityPrompts:
        """The library as it is after the projection."""
        return FoldedModalityPrompts(self.projection(self.library))


class FoldedModalityPrompts(nn.Module):
    """The prompts of a trained :class:`ModalityPrompts`, projected once.

    Args:
        projected: (N_p, modalities, j, D).
    """

    projected: Tensor

    def __init__(self, projected: Tensor) -> None:
        super().__init__()
        self.register_buffer("projected", projected.detach().clone())

    def forward(self, modality: Tensor) -> list[Tensor]:
        """Prompts of modality (B,) for each layer: N_p tensors (B, j, D)."""
        return [rows_of(prompts, modality) for prompts in self.projected]


class InstancePromptGenerator(nn.Module):
    """IPG: queries read the patch tokens through one block that all layers share.

    Args:
        block: A block of the backbone, for its shape; the generator's own is newly initialised.
        length: j, prompts per layer.
        learned: Whether the queries are learned, as in the paper's figure, or all zero, as in the released code. Zero
            queries are alike, so are their outputs: one prompt in j copies.
        apply: How blocks are computed.
    """

    learning_rate_roles: ClassVar = {"": "generator", "queries": "generator.queries"}

    queries: Tensor | None

    def __init__(
        self, block: nn.Module, length: int, dim: int, learned: bool = True, apply: BlockFunction = context_block
    ) -> None:
        super().__init__()
        self.block = fresh_block(block)
        self.length = length
        self.dim = dim
        self.apply_block = apply
        if learned:
            self.queries = nn.Parameter(torch.empty(1, length, dim))
            nn.init.trunc_normal_(self.queries, std=0.02)
        else:
            self.register_parameter("queries", None)

    def forward(self, patches: Tensor, turns: Tensor | None = None) -> Context:
        """Prompts for patch tokens (B, N, D): j different ones, or one standing for j.

        Args:
            patches: What the queries read.
            turns: Their rotary positions, (N, 2 d), where the ViT has such; queries have no place.
        """
        batch, read = patches.shape[0], Context(patches, turns=turns)
        if self.queries is None:
            zero = patches.new_zeros(batch, 1, self.dim)
            return Context(self.apply_block(self.block, zero, [read], self.length), self.length)
        return Context(self.apply_block(self.block, self.queries.expand(batch, -1, -1), [read], 1))
