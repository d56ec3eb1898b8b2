from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid.models.backbones.position_embedding import resample_positions, token_grid


def slow_bilinear(image, rows, columns):
    """Half-pixel centres, edges clamped, one output at a time; image (R, C, D)."""
    height, width = image.shape[:2]
    out = torch.zeros(rows, columns, image.shape[2], dtype=image.dtype)
    for row in range(rows):
        for column in range(columns):
            y = min(max((row + 0.5) * height / rows - 0.5, 0), height - 1)
            x = min(max((column + 0.5) * width / columns - 0.5, 0), width - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            top = image[y0, x0] * (1 - x + x0) + image[y0, x1] * (x - x0)
            bottom = image[y1, x0] * (1 - x + x0) + image[y1, x1] * (x - x0)
            out[row, column] = top * (1 - y + y0) + bottom * (y - y0)
    return out


@settings(max_examples=30, deadline=None)
@given(*(st.integers(1, 6) for _ in range(4)), st.integers(0, 1))
def test_it_is_bilinear_and_keeps_the_class_token(own_rows, own_columns, rows, columns, prefix):
    positions = torch.randn(1, prefix + own_rows * own_columns, 3, dtype=torch.double)
    result = resample_positions(positions, (own_rows, own_columns), (rows, columns))
    assert torch.equal(result[:, :prefix], positions[:, :prefix])
    expected = slow_bilinear(positions[0, prefix:].reshape(own_rows, own_columns, 3), rows, columns)
    torch.testing.assert_close(result[0, prefix:].reshape(rows, columns, 3), expected)


def test_the_own_grid_is_returned_untouched():
    positions = torch.randn(1, 1 + 6, 3)
    assert resample_positions(positions, (3, 2), (3, 2)) is positions


def test_the_same_number_of_tokens_in_another_shape_is_another_grid():
    positions = torch.randn(1, 1 + 8, 3)
    assert not torch.equal(resample_positions(positions, (4, 2), (2, 4)), positions)


@pytest.mark.parametrize(
    ("image", "stride", "grid"),
    [
        ((256, 128), 12, (21, 10)),
        ((256, 128), 16, (16, 8)),
        ((128, 256), 16, (8, 16)),
        ((384, 144), 16, (24, 9)),
        ((224, 224), 16, (14, 14)),
    ],
)
def test_token_grids(image, stride, grid):
    assert token_grid(image, (16, 16), (stride, stride)) == grid


def test_images_below_a_patch_are_refused():
    with pytest.raises(ValueError, match="12 x 64 is smaller than a patch"):
        token_grid((12, 64), (16, 16), (16, 16))
