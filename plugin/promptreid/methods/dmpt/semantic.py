"""Semantic prompts of DMPT."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn


class SemanticPrompts(nn.Module):
    """P2, ``S_p = {s_1 .. s_S}``, one set for all modalities, initialised N(0, std).

    They enter the blocks as in P3, ``[c_l, E_l, M_l, S_l] = V_l([c_{l-1}, E_{l-1}, M_{l-1}, S_{l-1}])``. Deep: each
    block gets a set of its own, and S_l, its outputs, is what PromptIBind reads before the next set replaces it.
    Shallow: one set, put in once and carried.

    Args:
        sets: Prompted blocks if deep, 1 if shallow.
        length: S.
        dim: D.
        std: Of the initialisation.
    """

    learning_rate_roles: ClassVar = {"prompts": "prompts"}

    prompt_family = "semantic"

    def __init__(self, sets: int, length: int, dim: int, std: float = 0.02) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.empty(sets, length, dim))
        nn.init.normal_(self.prompts, std=std)

    def forward(self, number: int, images: int) -> Tensor:
        """Set ``number``, from 0, for each of n images: (n, S, D)."""
        return self.prompts[number].expand(images, -1, -1)
