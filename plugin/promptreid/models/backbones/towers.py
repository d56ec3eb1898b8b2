"""What DMPT asks of an image tower, and timm's ViTs in that form."""

from __future__ import annotations

from typing import Any, Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.backbones.attention import block_attention
from promptreid.models.backbones.beside import NOTHING, Beside
from promptreid.models.backbones.partial_block import Context, context_block
from promptreid.models.backbones.position_embedding import Grid
from promptreid.models.backbones.shaped_attention import Shaping
from promptreid.models.backbones.vit import Backbone
from promptreid.models.precision import at_least_float32


class Tower(Protocol):
    """A ViT whose blocks are called one by one.

    Attributes:
        dim: D, width of the tokens.
        out_dim: Width of the feature.
        heads: Of its attention.
        layers: L, how many blocks.
    """

    dim: int
    out_dim: int
    heads: int
    layers: int

    def grid_of(self, image_size: Grid) -> Grid:
        """Rows and columns of tokens for an image size (height, width)."""

    def embed(self, images: Tensor, side: Tensor | None = None) -> Tensor:
        """Tokens before the first block.

        Args:
            images: Shape (B, 3, H, W).
            side: Shape (B, 1, D), added to the class token alone, as the CLIP family does.

        Returns:
            Class token and N patch tokens, (B, 1 + N, D).
        """

    def run(
        self,
        layer: int,
        tokens: Tensor,
        reads: int | None = None,
        shaping: Shaping | None = None,
        beside: Beside = NOTHING,
    ) -> Tensor:
        """Block number ``layer``, from 0, on tokens (B, n, D): the outputs of the first ``reads``, or of all.

        With ``shaping``, its attention has that form; with ``beside``, that is added in it.
        """

    def attention(self, layer: int, tokens: Tensor, beside: Beside = NOTHING) -> Tensor:
        """The probabilities of block number ``layer``, from 0, on tokens (B, n, D): (B, heads, n, n); slow."""

    def read(self, tokens: Tensor) -> Tensor:
        """The feature (B, D_out) in the class token, which is the first of (B, n, D)."""


class TimmTower(nn.Module):
    """A timm ViT; its feature is the class token after the final norm.

    Args:
        vit: From :func:`~promptreid.models.backbones.vit.create_vit`; its parts are taken over, not copied.
        stride: Of the patch embedding, in pixels; None for the patch size.
    """

    def __init__(self, vit: Any, stride: int | None = None) -> None:
        super().__init__()
        blocks = vit.blocks
        self.trunk = Backbone(vit, len(blocks), vit.patch_embed.patch_size[0] if stride is None else stride)
        self.norm = vit.norm
        self.dim = self.out_dim = int(vit.embed_dim)
        self.heads: int = blocks[0].attn.num_heads
        self.layers: int = len(blocks)

    def grid_of(self, image_size: Grid) -> Grid:
        """See :class:`Tower`."""
        return self.trunk.grid_of(image_size)

    def embed(self, images: Tensor, side: Tensor | None = None) -> Tensor:
        """See :class:`Tower`."""
        rows, columns = self.grid_of((images.shape[-2], images.shape[-1]))
        if side is not None:
            side = F.pad(side.to(self.trunk.cls_token.dtype), (0, 0, 0, rows * columns))
        return self.trunk.embed(images, side)

    def run(
        self,
        layer: int,
        tokens: Tensor,
        reads: int | None = None,
        shaping: Shaping | None = None,
        beside: Beside = NOTHING,
    ) -> Tensor:
        """See :class:`Tower`."""
        reads = tokens.shape[1] if reads is None else reads
        context = [Context(tokens[:, reads:])] if reads < tokens.shape[1] else []
        return context_block(self.trunk.blocks[layer], tokens[:, :reads], context, 1, shaping, beside)

    def attention(self, layer: int, tokens: Tensor, beside: Beside = NOTHING) -> Tensor:
        """See :class:`Tower`."""
        return block_attention(self.trunk.blocks[layer], tokens, beside)

    def read(self, tokens: Tensor) -> Tensor:
        """See :class:`Tower`; at least float32."""
        pooled: Tensor = self.norm(tokens[:, 0])
        return at_least_float32(pooled)
