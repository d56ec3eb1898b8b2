"""How a block runs, beyond its own weights."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from promptreid.models.backbones.beside import NOTHING, Beside
from promptreid.models.backbones.shaped_attention import Shaping


class BlockForm(NamedTuple):
    """What a block is given with its tokens.

    Attributes:
        turns: The rotary positions of the first of the tokens, as :func:`~promptreid.models.backbones.rotary.turned`
            takes them; None where no token has one.
        shaping: Another form of its attention.
        beside: What is added in it.
    """

    turns: Tensor | None = None
    shaping: Shaping | None = None
    beside: Beside = NOTHING


PLAIN = BlockForm()
