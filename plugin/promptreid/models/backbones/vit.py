"""A timm vision transformer, taken apart so that prompts can enter between its blocks."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.compat import declare_torchvision_operators
from promptreid.models.backbones.patches import embed_patches
from promptreid.models.backbones.position_embedding import Grid, resample_positions, token_grid
from promptreid.models.backbones.rotary import Rotary
from promptreid.models.backbones.timm_parts import check_parts, prefix_of
from promptreid.models.records import Recorded

_GRID = "grid_record"


def import_timm() -> Any:
    """The timm package: its import takes seconds, so it waits until a model is wanted."""
    declare_torchvision_operators()  # timm imports torchvision
    import timm

    return timm


def create_vit(name: str, drop_path: float = 0.1, **overrides: Any) -> nn.Module:
    """A randomly initialised timm ViT without classifier.

    Args:
        name: A timm model name, such as ``vit_base_patch16_224``; docs/towers.md lists those that were compared with
            timm's own features.
        drop_path: Rate of the last block; it grows linearly from 0 at the first.
        overrides: Passed to timm: ``depth``, ``embed_dim``, ``num_heads``, ``patch_size``, ``img_size`` and so on.

    Raises:
        ValueError: Unknown to timm, or not a ViT that :mod:`~promptreid.models.backbones.timm_parts` can take apart.
    """
    timm = import_timm()
    arguments: dict[str, Any] = {"num_classes": 0, "drop_path_rate": drop_path, **overrides}
    try:
        vit = timm.create_model(name, pretrained=False, **arguments)
    except RuntimeError as error:
        raise ValueError(
            f"timm has no {name!r} ({error}); timm.list_models('vit_*', pretrained=True) names them"
        ) from error
    check_parts(vit, name)
    return vit


def _grid_of(positions: Tensor, before: int, own: Grid, record: Tensor | None) -> Grid | None:
    """The grid of a state dict's positions (1, P + N, D): as it is recorded, else the own one or a square."""
    if record is not None:
        rows, columns = record.tolist()
        return rows, columns
    count = positions.shape[1] - before
    if count == own[0] * own[1]:
        return own
    side = math.isqrt(max(count, 0))
    return (side, side) if side * side == count > 0 else None


class Backbone(Recorded, nn.Module):
    """Patch embedding, position and side information, and the first blocks of a ViT.

    Args:
        vit: From :func:`create_vit`; its parts are taken over, not copied.
        depth: How many of its blocks to keep, from the first.
        stride: Of the patch embedding, in pixels; below the patch size the patches overlap.
        image_size: Height and width in training. Given, the position embedding is resampled to that token grid once,
            here, and trained there, as TransReID does; else it stays on its own grid. Other sizes are resampled on
            the fly either way. Rotary positions are computed for each grid.

    Attributes:
        dim: D.
        prefix: P, how many tokens stand before the patches: the class token, if there is one, and register tokens.
        grid: Rows and columns of the position embedding.
    """

    def __init__(self, vit: Any, depth: int, stride: int = 12, image_size: Grid | None = None) -> None:
        super().__init__()
        if stride < 1:
            raise ValueError(f"stride must be at least 1 pixel, got {stride}")
        self.dim: int = vit.embed_dim
        self.patch_embed = vit.patch_embed
        self.patch_embed.proj.stride = (stride, stride)
        self.cls_token = vit.cls_token
        self.reg_token = vit.reg_token
        self.prefix: int = prefix_of(vit)
        rope = getattr(vit, "rope", None)
        self.rotary = None if rope is None else Rotary(rope, self.prefix)
        self.norm_pre = vit.norm_pre
        self.pos_drop = vit.pos_drop
        self.grid: Grid = tuple(vit.patch_embed.grid_size)
        self.pos_embed = vit.pos_embed
        self.blocks = nn.ModuleList(list(vit.blocks)[:depth])
        if image_size is not None and self.pos_embed is not None:
            self._settle(self.grid_of(image_size))

    def grid_of(self, image_size: Grid) -> Grid:
        """Rows and columns of tokens for an image size (height, width)."""
        proj = self.patch_embed.proj
        return token_grid(image_size, proj.kernel_size, proj.stride)

    def _settle(self, grid: Grid) -> None:
        self.pos_embed = nn.Parameter(resample_positions(self.pos_embed.detach(), self.grid, grid))
        self.grid = grid

    def records(self) -> dict[str, Tensor]:
        """Rows and columns of the position embedding, unless it is frozen and in no state dict."""
        return {_GRID: torch.tensor(self.grid)} if "pos_embed" in self._parameters else {}

    def check_records(self, state: dict[str, Tensor], prefix: str) -> None:
        """See :meth:`fit_state`."""
        self.fit_state(state, prefix, adopt=True)

    def fit_state(self, state: dict[str, Tensor], prefix: str, adopt: bool) -> None:
        """Take on the position grid of a state dict, or resample its positions to the own one.

        Raises:
            ValueError: The state dict is said to have another grid than its positions: they were left out.
        """
        positions, record = state.get(f"{prefix}pos_embed"), state.get(f"{prefix}{_GRID}")
        if positions is None or positions.ndim != 3 or "pos_embed" not in self._parameters:
            return
        before = self.pos_embed.shape[1] - self.grid[0] * self.grid[1]
        grid = _grid_of(positions, before, self.grid, record)
        if grid is None or grid == self.grid or positions.shape[2] != self.dim:
            return
        if grid[0] * grid[1] + before != positions.shape[1]:
            raise ValueError(
                f"{prefix}pos_embed: the weights are of a model with {grid[0]} x {grid[1]} positions, and a loader "
                f"that goes by shape has left them out for {positions.shape[1]} of its own; use model.load_state_dict, "
                "which takes on their grid, or build the model with image_size"
            )
        if adopt:
            self.pos_embed.data = resample_positions(self.pos_embed.detach(), self.grid, grid)
            self.grid = grid
        else:
            state[f"{prefix}pos_embed"] = resample_positions(positions, grid, self.grid)
            state[f"{prefix}{_GRID}"] = torch.tensor(self.grid)

    def turns(self, image_size: Grid, device: torch.device) -> Tensor | None:
        """The rotary positions of the P + N tokens of such images, (P + N, 2 d); None for a ViT without."""
        return None if self.rotary is None else self.rotary.turns(self.grid_of(image_size), device)

    def embed(self, images: Tensor, side: Tensor | None = None) -> Tensor:
        """Tokens before the first block.

        Args:
            images: Shape (B, 3, H, W).
            side: Shape (B, 1, D), added to all tokens.

        Returns:
            P prefix tokens, the class token first, and N patch tokens, (B, P + N, D).
        """
        grid = self.grid_of((images.shape[-2], images.shape[-1]))
        images = images.to(self.patch_embed.proj.weight.dtype)
        patches = self.patch_embed.norm(embed_patches(self.patch_embed.proj, images).flatten(2).transpose(1, 2))
        parts = [part.expand(images.shape[0], -1, -1) for part in (self.cls_token, self.reg_token) if part is not None]
        if self.pos_embed is None:
            tokens = torch.cat([*parts, patches], dim=1)
        else:
            positions = resample_positions(self.pos_embed, self.grid, grid)
            if positions.shape[1] == patches.shape[1]:  # no positions for the prefix tokens
                tokens = torch.cat([*parts, patches + positions], dim=1)
            else:
                tokens = torch.cat([*parts, patches], dim=1) + positions
        if side is not None:
            tokens = tokens + side
        return self.norm_pre(self.pos_drop(tokens))
