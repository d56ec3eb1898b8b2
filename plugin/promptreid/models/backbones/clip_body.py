"""CLIP's image tower as a ViT of timm's classes, for models that are made of these."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from promptreid.models.backbones.bundled_towers import clip_state
from promptreid.models.backbones.clip_image import create_trunk
from promptreid.models.backbones.clip_weights import clip_source
from promptreid.models.backbones.timm_parts import check_parts
from promptreid.models.weights import load_backbone

_logger = logging.getLogger(__name__)
_KNOWN = {"layers", "width", "head_width", "patch_size", "image_size", "mlp_ratio", "no_ln_pre"}
"""Entries of ``vision_cfg`` that timm's ViT has, too."""


def create_clip_body(config: Mapping[str, Any], drop_path: float = 0.1, **sizes: Any) -> nn.Module:
    """A randomly initialised ViT that computes what an image tower of open_clip does, up to the projection.

    Args:
        config: From :func:`~promptreid.models.backbones.clip_image.clip_config`.
        drop_path: Rate of the last block, growing linearly from 0.
        sizes: Arguments of timm's ViT, to set otherwise.

    Raises:
        ValueError: It has what timm's ViT has not, or cannot be taken apart.
    """
    vision = config["vision_cfg"]
    if "timm_model_name" in vision:
        return create_trunk(config, drop_path, projected=False, **sizes)
    unknown = sorted(name for name in set(vision) - _KNOWN if vision[name])
    if unknown:
        raise ValueError(
            f"vision_cfg has {unknown}, which timm's ViT has not; use a tower such as ViT-B-16-quickgelu's"
        )
    from timm.models.vision_transformer import VisionTransformer

    width = vision.get("width", 768)
    arguments = {
        "img_size": vision.get("image_size", 224),
        "patch_size": vision.get("patch_size", 16),
        "embed_dim": width,
        "depth": vision.get("layers", 12),
        "num_heads": width // vision.get("head_width", 64),
        "mlp_ratio": vision.get("mlp_ratio", 4.0),
        "pre_norm": not vision.get("no_ln_pre", False),
        "act_layer": "quick_gelu" if config.get("quick_gelu", False) else "gelu",
    }
    vit = VisionTransformer(
        **{**arguments, **sizes},
        norm_layer=partial(nn.LayerNorm, eps=1e-5),
        num_classes=0,
        global_pool="token",
        drop_path_rate=drop_path,
    )
    vit.patch_embed.proj.bias = None  # open_clip's never has one, timm's does where no norm follows
    check_parts(vit, "this tower of open_clip")
    return vit


def load_clip_body(
    body: nn.Module,
    name: str,
    weights: str | Path | None = None,
    *,
    strict: bool = True,
    allow_download: bool = False,
    search: bool = True,
) -> None:
    """Fill it with pretrained weights of open_clip; the text tower's are left aside.

    Args:
        body: From :func:`create_clip_body`.
        name, weights, strict, allow_download, search: See
            :func:`~promptreid.models.backbones.clip_weights.load_clip`.

    Raises:
        FileNotFoundError, ValueError: As there.
    """
    source = clip_source(name, weights, strict=strict, allow_download=allow_download, search=search)
    if source is None:
        return
    report = load_backbone(body, clip_state(source))
    _logger.info("CLIP %s from %s: %d tensors", name, source, len(report.used))
