"""The models MIP is compared with: MIP's own parts, prompts off, so that only the prompts differ."""

from __future__ import annotations

from typing import Any

from promptreid.methods.mip.options import MIPOptions


def transreid(**changes: Any) -> MIPOptions:
    """TransReID: side information and JPM heads, no prompts.

    Args:
        changes: Fields of :class:`MIPOptions` to set otherwise.

    References:
        He et al., TransReID: Transformer-based Object Re-Identification, ICCV 2021.
    """
    return MIPOptions(**{"modality_prompts": False, "instance_prompts": False, "iael": False, **changes})


def vit_reid(**changes: Any) -> MIPOptions:
    """A plain ViT with a BNNeck: the class token, no side information, no JPM, no prompts.

    Args:
        changes: Fields of :class:`MIPOptions` to set otherwise.
    """
    return transreid(**{"jpm": False, "sie": "none", **changes})
