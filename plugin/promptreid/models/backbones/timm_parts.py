"""What of timm's vision transformers can be taken apart, and how their feature is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from torch import Tensor, nn

_NOTHING = (nn.Identity, type(None))
_ROPES = ("RotaryEmbeddingCat", "RotaryEmbeddingDinoV3")
_REMEDY = "docs/towers.md lists towers that can, such as vit_base_patch16_224 and vit_base_patch16_dinov3"


def prefix_of(vit: Any) -> int:
    """How many tokens stand before the patches: a class token, register tokens."""
    return int(vit.num_prefix_tokens)


def check_parts(vit: Any, name: str) -> None:
    """Refuse a model whose parts are not those that are computed here.

    Raises:
        ValueError: It says which part, and where those that can be prompted are listed.
    """
    from timm.models.eva import Eva
    from timm.models.vision_transformer import PatchEmbed, VisionTransformer

    def refuse(reason: str) -> NoReturn:
        raise ValueError(f"{name!r} cannot be prompted: {reason}; {_REMEDY}")

    if not isinstance(vit, (VisionTransformer, Eva)):
        refuse(f"it is a {type(vit).__name__}, neither a VisionTransformer nor an Eva")
    rope = getattr(vit, "rope", None)
    if vit.pos_embed is None and rope is None:
        refuse("it lacks learned and rotary positions")
    if rope is not None and type(rope).__name__ not in _ROPES:
        refuse(f"its rotary positions are a {type(rope).__name__}")
    if type(vit.patch_embed) is not PatchEmbed:
        refuse(f"its patch embedding is a {type(vit.patch_embed).__name__}")
    for block in vit.blocks:
        _check_block(block, refuse)
    if vit.attn_pool is not None and type(vit.attn_pool).__name__ != "AttentionPoolLatent":
        refuse(f"its features are pooled by a {type(vit.attn_pool).__name__}")
    if vit.attn_pool is None and vit.global_pool not in ("token", "avg"):
        refuse(f"its features are pooled by {vit.global_pool!r}")


def _check_block(block: Any, refuse: Callable[[str], NoReturn]) -> None:
    from timm.layers.attention import AttentionRope
    from timm.models.eva import EvaAttention, EvaBlock
    from timm.models.vision_transformer import Attention, Block

    attn = block.attn
    plain = type(block) is Block and type(attn) is Attention
    extras = [part for part in ("norm", "gate") if plain and not isinstance(getattr(attn, part, None), _NOTHING)]
    grouped = getattr(attn, "num_kv_heads", getattr(attn, "num_heads", 1)) != getattr(attn, "num_heads", 1)
    turned = type(block) is EvaBlock and type(attn) in (EvaAttention, AttentionRope) and not grouped
    if not (plain or turned) or extras:
        refuse(f"its blocks are {type(block).__name__} with {type(attn).__name__} {extras}")


class Readout(nn.Module):
    """From the tokens after the last block to the feature.

    By the tower's own attention pooling, if it has one; else from the class token after the final norm; else, without a
    class token or where the norm follows the pooling, as in towers that were trained so, from the mean patch.

    Args:
        vit: A timm ViT that :func:`check_parts` lets through; parts are taken over, not copied.

    Attributes:
        whole: Whether all tokens of the image are read, not the first alone.
        out_dim: Width of the feature: D, or that of the projection of a CLIP tower.
    """

    def __init__(self, vit: Any) -> None:
        super().__init__()
        self.prefix = prefix_of(vit)
        self.attn_pool = vit.attn_pool
        self.fc_norm = vit.fc_norm
        self.head = vit.head
        pooled_class = vit.cls_token is not None and not isinstance(vit.norm, nn.Identity)
        self._class = self.attn_pool is None and (vit.global_pool == "token" or pooled_class)
        self.whole = not self._class
        # timm's VisionTransformer pools by attention over the patches, its Eva over all tokens.
        self._skipped = 0 if getattr(vit, "pool_include_prefix", True) else self.prefix
        self.out_dim = int(getattr(vit.head, "out_features", vit.embed_dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Normed tokens, all P + N or the class token alone, (B, n, D), to features (B, D_out)."""
        if self._class:
            pooled = tokens[:, 0]
        elif self.attn_pool is not None:
            pooled = self.attn_pool(tokens[:, self._skipped :])
        else:
            pooled = tokens[:, self.prefix :].mean(dim=1)
        feature: Tensor = self.head(self.fc_norm(pooled))
        return feature
