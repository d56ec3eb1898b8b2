"""A timm vision transformer, taken apart so that prompts can enter between its blocks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from promptreid.compat import declare_torchvision_operators
from promptreid.models.backbones.position_embedding import Grid, resample_positions, token_grid

_NOTHING = (nn.Identity, type(None))


def import_timm() -> Any:
    """The timm package: its import takes seconds, so it waits until a model is wanted."""
    declare_torchvision_operators()  # timm imports torchvision
    import timm

    return timm


def create_vit(name: str, drop_path: float = 0.1, **overrides: Any) -> nn.Module:
    """A randomly initialised timm ViT without classifier.

    Args:
        name: A timm model name, such as ``vit_base_patch16_224``.
        drop_path: Rate of the last block; it grows linearly from 0 at the first.
        overrides: Passed to timm: ``depth``, ``embed_dim``, ``num_heads``, ``patch_size``, ``img_size`` and so on.

    Raises:
        ValueError: Unknown to timm, or not a plain ViT with a class token and learned positions.
    """
    timm = import_timm()
    try:
        vit = timm.create_model(name, pretrained=False, num_classes=0, drop_path_rate=drop_path, **overrides)
    except RuntimeError as error:
        raise ValueError(
            f"timm has no {name!r} ({error}); timm.list_models('vit_*', pretrained=True) names them"
        ) from error
    _check_vit(vit, name)
    return vit


def _check_vit(vit: Any, name: str) -> None:
    from timm.models.vision_transformer import Attention, Block, PatchEmbed, VisionTransformer

    def refuse(reason: str) -> None:
        raise ValueError(f"{name!r} cannot be prompted: {reason}; use a plain ViT such as vit_base_patch16_224")

    if not isinstance(vit, VisionTransformer):
        refuse(f"it is a {type(vit).__name__}, not a VisionTransformer")
    if vit.cls_token is None or vit.num_prefix_tokens != 1:
        refuse("it does not have exactly one class token before the patches")
    if vit.pos_embed is None or isinstance(vit.norm, nn.Identity):
        refuse("it lacks learned positions or the final norm")
    if type(vit.patch_embed) is not PatchEmbed:
        refuse(f"its patch embedding is a {type(vit.patch_embed).__name__}")
    block = vit.blocks[-1]
    extras = [part for part in ("norm", "gate") if not isinstance(getattr(block.attn, part, None), _NOTHING)]
    if type(block) is not Block or type(block.attn) is not Attention or extras:
        refuse(f"its blocks are {type(block).__name__} with {type(block.attn).__name__} {extras}")


class Backbone(nn.Module):
    """Patch embedding, position and side information, and the first blocks of a ViT.

    Args:
        vit: From :func:`create_vit`; its parts are taken over, not copied.
        depth: How many of its blocks to keep, from the first.
        stride: Of the patch embedding, in pixels; below the patch size the patches overlap.
        image_size: Height and width in training. Given, the position embedding is resampled to that token grid once,
            here, and trained there, as TransReID does; else it stays on its own grid. Other sizes are resampled on
            the fly either way.
    """

    def __init__(self, vit: Any, depth: int, stride: int = 12, image_size: Grid | None = None) -> None:
        super().__init__()
        if stride < 1:
            raise ValueError(f"stride must be at least 1 pixel, got {stride}")
        self.dim: int = vit.embed_dim
        self.patch_embed = vit.patch_embed
        self.patch_embed.proj.stride = (stride, stride)
        self.cls_token = vit.cls_token
        self.norm_pre = vit.norm_pre
        self.pos_drop = vit.pos_drop
        self.grid: Grid = tuple(vit.patch_embed.grid_size)
        self.pos_embed = vit.pos_embed
        self.blocks = nn.ModuleList(list(vit.blocks)[:depth])
        if image_size is not None:
            self._settle(self.grid_of(image_size))

    def grid_of(self, image_size: Grid) -> Grid:
        """Rows and columns of tokens for an image size (height, width)."""
        proj = self.patch_embed.proj
        return token_grid(image_size, proj.kernel_size, proj.stride)

    def _settle(self, grid: Grid) -> None:
        self.pos_embed = nn.Parameter(resample_positions(self.pos_embed.detach(), self.grid, grid))
        self.grid = grid

    def embed(self, images: Tensor, side: Tensor | None = None) -> Tensor:
        """Tokens before the first block.

        Args:
            images: Shape (B, 3, H, W).
            side: Shape (B, 1, D), added to all tokens.

        Returns:
            Class token and N patch tokens, (B, 1 + N, D).
        """
        grid = self.grid_of((images.shape[-2], images.shape[-1]))
        images = images.to(self.patch_embed.proj.weight.dtype)
        patches = self.patch_embed.norm(self.patch_embed.proj(images).flatten(2).transpose(1, 2))
        positions = resample_positions(self.pos_embed, self.grid, grid)
        cls = self.cls_token.expand(images.shape[0], -1, -1)
        if positions.shape[1] == patches.shape[1]:  # this ViT has no position for its class token
            tokens = torch.cat([cls, patches + positions], dim=1)
        else:
            tokens = torch.cat([cls, patches], dim=1) + positions
        if side is not None:
            tokens = tokens + side
        return self.norm_pre(self.pos_drop(tokens))
