"""Backbone weights in the state dicts of other programs: under prefixes, beside heads, on person images' grids."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from torch import Tensor

from promptreid.models.backbones.position_embedding import Grid, token_grid

_logger = logging.getLogger(__name__)
_KNOWN = ("module", "base", "backbone", "model", "encoder", "visual", "trunk", "teacher", "student", "clip")
_SIZES: tuple[Grid, ...] = ((256, 128), (384, 128), (384, 192), (128, 64), (224, 112), (256, 256), (128, 256))
"""Height and width of the images that person and vehicle backbones are trained on, the most usual first."""


def without_prefix(state: Mapping[str, Tensor], anchor: str) -> dict[str, Tensor]:
    """The tensors of one backbone under its own names.

    Prefixes that other programs give it (``base.``, ``backbone.``, ``module.``, ``model.``, ``encoder.``, ``visual.``,
    ``teacher.``, ``student.``, and several of them) are taken off, and the log says so. Of a teacher and a student the
    teacher is taken.

    Args:
        state: Names and tensors.
        anchor: A name that every such backbone has.

    Returns:
        As it is where the anchor has no prefix, or is not there, or none of these.
    """
    prefixes = [name.removesuffix(anchor) for name in state if name.endswith(f".{anchor}")]
    known = [prefix for prefix in prefixes if set(prefix.split(".")[:-1]) <= set(_KNOWN)]
    if anchor in state or not known:
        return dict(state)
    chosen = min(known, key=lambda prefix: ("student" in prefix, prefix.count("."), prefix))
    others = sorted(set(known) - {chosen})
    _logger.info("the prefix %s is taken off the weights%s", chosen, f"; {others} are left out" if others else "")
    kept = {name[len(chosen) :]: value for name, value in state.items() if name.startswith(chosen)}
    return {**{name: value for name, value in state.items() if not name.startswith(tuple(known))}, **kept}


def usual_grid(count: int, patch: Grid) -> Grid | None:
    """The token grid of ``count`` tokens: a square, else that of usual images at a stride of half to a whole patch.

    256 x 128 pixels in patches of 16 have 16 x 8 tokens at stride 16 and 21 x 10 at stride 12.
    """
    side = round(count**0.5)
    if side * side == count:
        return side, side
    for size in _SIZES:
        for stride in range(patch[0], patch[0] // 2 - 1, -1) if min(size) >= max(patch) else ():
            grid = token_grid(size, patch, (stride, stride))
            if grid[0] * grid[1] == count:
                return grid
    return None
