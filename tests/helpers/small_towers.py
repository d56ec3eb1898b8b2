"""Small, random towers of the families that docs/towers.md lists."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from promptreid.models.backbones.block_form import BlockForm
from promptreid.models.backbones.towers import TimmTower
from promptreid.models.backbones.vit import create_vit

SMALL: dict[str, Any] = {"depth": 3, "embed_dim": 48, "num_heads": 3}


def small_sizes(name: str) -> dict[str, Any]:
    """Arguments of timm that make a tower of this name small, with 4 x 4 patches."""
    pixels = {"img_size": 56 if "patch14" in name else 64}
    return {**SMALL, **pixels, **({"attn_pool_num_heads": 3} if "pe_core" in name else {})}


def small_vit(name: str, seed: int = 0, **changes: Any) -> Any:
    """A ViT of this name whose every weight does something: none is zero, as layer scales and tokens are at first."""
    vit = create_vit(name, 0.0, **{**small_sizes(name), **changes}).eval()
    stir(vit, seed)
    return vit


def stir(module: nn.Module, seed: int = 0) -> None:
    """Random weights: scales around 1, the rest around 0."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.named_parameters():
        scale = "gamma" in name or ("norm" in name and name.endswith("weight"))
        value.data = torch.randn(value.shape, generator=generator) / 8 + float(scale)


def final_tokens(tower: Any, images: Tensor, prompts: Tensor | None = None) -> Tensor:
    """The tokens after all blocks, (B, P + N, D), with prompts behind them that are carried along."""
    tokens = tower.embed(images)
    own = tokens.shape[1]
    if prompts is not None:
        tokens = torch.cat([tokens, prompts.expand(len(tokens), -1, -1)], dim=1)
    form = BlockForm(tower.turns((images.shape[-2], images.shape[-1]), tokens.device))
    for layer in range(tower.layers):
        tokens = tower.run(layer, tokens, form=form)
    return tokens[:, :own]


def tower_of(vit: Any) -> TimmTower:
    """At the stride of its patches."""
    return TimmTower(vit).eval()
