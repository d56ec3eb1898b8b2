"""Position embeddings for token grids of any shape."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Grid = tuple[int, int]


def resample_positions(positions: Tensor, own_grid: Grid, grid: Grid) -> Tensor:
    """Resample position embeddings bilinearly to another token grid; a class token's, in front, is kept.

    Args:
        positions: Shape (1, P + rows * columns, D) for ``own_grid``, with P = 0 or 1 tokens before the grid.
        own_grid: Rows and columns of ``positions``.
        grid: Rows and columns wanted.

    Returns:
        Shape (1, P + rows * columns, D) for ``grid``; differentiable.
    """
    if own_grid == grid:
        return positions
    prefix = positions.shape[1] - own_grid[0] * own_grid[1]
    image = positions[:, prefix:].unflatten(1, own_grid).permute(0, 3, 1, 2)
    image = F.interpolate(image, size=grid, mode="bilinear", align_corners=False)
    return torch.cat([positions[:, :prefix], image.flatten(2).transpose(1, 2)], dim=1)


def token_grid(image: Grid, patch: Grid, stride: Grid) -> Grid:
    """Rows and columns of the tokens of an image (height, width in pixels).

    Raises:
        ValueError: The image is smaller than one patch.
    """
    if image[0] < patch[0] or image[1] < patch[1]:
        raise ValueError(f"an image of {image[0]} x {image[1]} is smaller than a patch of {patch[0]} x {patch[1]}")
    rows, columns = ((image[side] - patch[side]) // stride[side] + 1 for side in (0, 1))
    return rows, columns
