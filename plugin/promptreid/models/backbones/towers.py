"""What DMPT asks of an image tower, and timm's ViTs in that form."""

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptreid.models.backbones.attention import block_attention
from promptreid.models.backbones.block_form import PLAIN, BlockForm
from promptreid.models.backbones.partial_block import Context, context_block
from promptreid.models.backbones.position_embedding import Grid
from promptreid.models.backbones.timm_parts import Readout
from promptreid.models.backbones.vit import Backbone
from promptreid.models.precision import at_least_float32


class Tower(Protocol):
    """A ViT whose blocks are called one by one.

    Attributes:
        dim: D, width of the tokens.
        out_dim: Width of the feature.
        heads: Of its attention.
        layers: L, how many blocks.
        prefix: P, how many tokens stand before the patches.
        has_class: Whether the first of these is a class token; the others are registers.
        reads_all: Whether the feature is read from all tokens of the image; else from the class token alone.
    """

    dim: int
    out_dim: int
    heads: int
    layers: int
    prefix: int
    has_class: bool
    reads_all: bool

    def grid_of(self, image_size: Grid) -> Grid:
        """Rows and columns of tokens for an image size (height, width)."""

    def embed(self, images: Tensor, side: Tensor | None = None) -> Tensor:
        """Tokens before the first block.

        Args:
            images: Shape (B, 3, H, W).
            side: Shape (B, 1, D), added to the class token alone, as the CLIP family does.

        Returns:
            P prefix tokens and N patch tokens, (B, P + N, D).
        """

    def turns(self, image_size: Grid, device: torch.device) -> Tensor | None:
        """The rotary positions of the tokens of such images, which :meth:`run` needs again; None for none."""

    def run(self, layer: int, tokens: Tensor, reads: int | None = None, form: BlockForm = PLAIN) -> Tensor:
        """Block number ``layer``, from 0, on tokens (B, n, D): the outputs of the first ``reads``, or of all.

        The turns of its ``form`` are for the image's tokens, which are the first; prompts behind them have no place and
        do not turn.
        """

    def attention(self, layer: int, tokens: Tensor, form: BlockForm = PLAIN) -> Tensor:
        """The probabilities of block number ``layer``, from 0, on tokens (B, n, D): (B, heads, n, n); slow.

        Not with a shaping.
        """

    def read(self, tokens: Tensor) -> Tensor:
        """The feature (B, D_out) of tokens (B, n, D): all P + N of the image, or the first alone."""


class TimmTower(nn.Module):
    """A timm ViT; :class:`~promptreid.models.backbones.timm_parts.Readout` says where its feature is read.

    Args:
        vit: From :func:`~promptreid.models.backbones.vit.create_vit`; its parts are taken over, not copied.
        stride: Of the patch embedding, in pixels; None for the patch size.
    """

    def __init__(self, vit: Any, stride: int | None = None) -> None:
        super().__init__()
        blocks = vit.blocks
        self.trunk = Backbone(vit, len(blocks), vit.patch_embed.patch_size[0] if stride is None else stride)
        self.norm = vit.norm
        self.readout = Readout(vit)
        self.dim = int(vit.embed_dim)
        self.out_dim = self.readout.out_dim
        self.heads: int = blocks[0].attn.num_heads
        self.layers: int = len(blocks)
        self.prefix: int = self.trunk.prefix
        self.has_class: bool = vit.cls_token is not None
        self.reads_all: bool = self.readout.whole

    def grid_of(self, image_size: Grid) -> Grid:
        """See :class:`Tower`."""
        return self.trunk.grid_of(image_size)

    def embed(self, images: Tensor, side: Tensor | None = None) -> Tensor:
        """See :class:`Tower`."""
        rows, columns = self.grid_of((images.shape[-2], images.shape[-1]))
        if side is not None:
            side = F.pad(side.to(self.trunk.cls_token.dtype), (0, 0, 0, self.prefix - 1 + rows * columns))
        return self.trunk.embed(images, side)

    def turns(self, image_size: Grid, device: torch.device) -> Tensor | None:
        """See :class:`Tower`."""
        return self.trunk.turns(image_size, device)

    def run(self, layer: int, tokens: Tensor, reads: int | None = None, form: BlockForm = PLAIN) -> Tensor:
        """See :class:`Tower`."""
        reads, turns = tokens.shape[1] if reads is None else reads, form.turns
        own, other = (None, None) if turns is None else (turns[:reads], turns[reads:])
        context = [Context(tokens[:, reads:], turns=other)] if reads < tokens.shape[1] else []
        return context_block(self.trunk.blocks[layer], tokens[:, :reads], context, 1, form._replace(turns=own))

    def attention(self, layer: int, tokens: Tensor, form: BlockForm = PLAIN) -> Tensor:
        """See :class:`Tower`."""
        return block_attention(self.trunk.blocks[layer], tokens, form)

    def read(self, tokens: Tensor) -> Tensor:
        """See :class:`Tower`; at least float32."""
        return at_least_float32(self.readout(self.norm(tokens if self.reads_all else tokens[:, :1])))
