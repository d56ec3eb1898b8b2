"""Rotary positions: patch tokens turn with their place in the image, and prompts, which have none, do not."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from promptreid.models.backbones.position_embedding import Grid
from promptreid.models.inputs import being_traced
from promptreid.models.precision import outside_inference_mode

_SETTINGS = (
    "dim",
    "max_res",
    "temperature",
    "in_pixels",
    "linear_bands",
    "ref_feat_shape",
    "grid_offset",
    "grid_indexing",
    "rotate_half",
    "grid_type",
    "normalize_coords",
)


class Rotary:
    """The angles of a timm ViT on any token grid, by its own formula.

    No module: nothing in it is trained, and angles in half precision would be other places.

    Args:
        rope: timm's ``RotaryEmbeddingCat`` or ``RotaryEmbeddingDinoV3``, of which the settings are taken.
        prefix: P, tokens before the patches, which do not turn.

    References:
        Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, arXiv 2104.09864; on images: Fang et
        al., EVA-02, arXiv 2303.11331, and Simeoni et al., DINOv3, arXiv 2508.10104.
    """

    def __init__(self, rope: Any, prefix: int) -> None:
        self._rope = _for_any_grid(rope)
        self._prefix = prefix
        self._known: dict[tuple[Grid, torch.device], Tensor] = {}

    def turns(self, grid: Grid, device: torch.device) -> Tensor:
        """Sines and cosines of the prefix and the patches of a grid, (P + N, 2 d) float32, d the width of a head."""
        key = (grid, device)
        if key in self._known:
            return self._known[key]
        if being_traced():
            return self._made(grid, device)
        self._known[key] = outside_inference_mode(self._made)(grid, device)
        return self._known[key]

    @torch.no_grad()
    def _made(self, grid: Grid, device: torch.device) -> Tensor:
        return behind(self._prefix, self._rope.get_embed(shape=list(grid)).float()).to(device)


def _for_any_grid(rope: Any) -> Any:
    """The same formula without the table of one grid, which timm's ``RotaryEmbeddingCat`` would give for all."""
    if type(rope).__name__ != "RotaryEmbeddingCat" or rope.feat_shape is None:
        return deepcopy(rope).eval()
    # timm before 1.0.30 has no rotate_half here.
    return type(rope)(**{name: getattr(rope, name) for name in _SETTINGS if hasattr(rope, name)}).eval()


def behind(count: int, turns: Tensor) -> Tensor:
    """The turns (k, 2 d) of tokens that stand behind ``count`` others without a place, (count + k, 2 d)."""
    half = turns.shape[1] // 2
    still = torch.cat([turns.new_zeros(count, half), turns.new_ones(count, half)], dim=1)
    return torch.cat([still, turns])


def turned(heads: Tensor, turns: Tensor | None, half: bool) -> Tensor:
    """Queries or keys after their rotation.

    Args:
        heads: Shape (B, heads, n, d).
        turns: Sines and cosines, side by side, of the first k <= n tokens, (k, 2 d) or (B, k, 2 d). The others stay as
            they are; None for all.
        half: Number i of a head's numbers turns with number i + d / 2; else with its neighbour.

    Returns:
        Shape (B, heads, n, d), in the dtype of ``heads``.
    """
    if turns is None:
        return heads
    count = turns.shape[-2]
    sine, cosine = (turns if turns.ndim == 2 else turns[:, None]).chunk(2, dim=-1)
    moved, rest = heads[:, :, :count], heads[:, :, count:]
    if half:
        first, second = moved.chunk(2, dim=-1)
        other = torch.cat([-second, first], dim=-1)
    else:
        other = torch.stack([-moved[..., 1::2], moved[..., ::2]], dim=-1).flatten(-2)
    moved = (moved * cosine + other * sine).to(heads.dtype)
    return moved if count == heads.shape[2] else torch.cat([moved, rest], dim=2)
