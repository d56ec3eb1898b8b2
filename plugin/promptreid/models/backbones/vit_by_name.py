"""The ViT that a model is built around: timm's, open_clip's in timm's form, or a small one of this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promptreid.models.backbones.bundled_towers import (
    MINI,
    MINI_VIT,
    MINI_VIT_NAME,
    SMALL_CLIPS,
    find_weights,
    mini_state,
)
from promptreid.models.backbones.clip_body import create_clip_body, load_clip_body
from promptreid.models.backbones.clip_image import clip_config, is_clip
from promptreid.models.backbones.vit import create_vit, import_timm
from promptreid.models.weights import load_backbone, load_pretrained

SMALL_VIT = "mini_vit"
OPENAI_BASE = "ViT-B-16-quickgelu"
VIT_SMALL = "vit_small_patch16_224.augreg_in21k_ft_in1k"
VIT_TINY = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"


def create_body(
    backbone: str,
    drop_path: float = 0.1,
    pretrained: bool = True,
    *,
    weights: str | None = None,
    strict: bool = False,
    allow_download: bool = False,
    vit: Mapping[str, Any] | None = None,
) -> Any:
    """A ViT without classifier, pretrained if wished.

    ``mini_vit``, ``mini_clip`` and ``mini_lit`` are the package's own: their weights are in the package, and nothing is
    ever downloaded for them. Every other name is timm's, or else open_clip's, whose image tower then is a ViT of timm's
    classes with the same features, before the projection.

    Args:
        backbone: ``mini_vit``, ``mini_clip``, ``mini_lit``, a timm ViT, see
            :func:`~promptreid.models.backbones.vit.create_vit`, or a ViT of open_clip, with an optional tag of
            pretrained weights.
        drop_path: Rate of the last block, growing linearly from 0.
        pretrained: Load weights: ``weights``, else the package's or timm's cache.
        weights: A file, or the name of a small tower for its.
        strict: Missing pretrained weights are an error instead of a warning; those of the package always are.
        allow_download: Let timm download the weights if they are not in its cache.
        vit: Further arguments of timm's ViT, such as ``depth``.

    Raises:
        ValueError: An unknown name, or weights that do not fit or, if strict, are not there.
        FileNotFoundError: A file that is named is not there.
    """
    if backbone in MINI:
        weights = weights or backbone
    body, clip = _random_body(backbone, drop_path, vit or {})
    if not pretrained:
        return body
    if weights in MINI:
        load_backbone(body, mini_state(str(weights)))
        return body
    file = None if weights is None else find_weights(weights)
    if clip:
        load_clip_body(body, backbone, file, strict=strict, allow_download=allow_download, search=not vit)
    else:
        load_pretrained(body, backbone, file, strict=strict, allow_download=allow_download)
    return body


def _random_body(backbone: str, drop_path: float, vit: Mapping[str, Any]) -> tuple[Any, bool]:
    """The ViT, and whether its weights are open_clip's."""
    if backbone == SMALL_VIT:
        return create_vit(MINI_VIT_NAME, drop_path, **{**MINI_VIT, **vit}), False
    if backbone in SMALL_CLIPS:
        return create_clip_body(clip_config(OPENAI_BASE, SMALL_CLIPS[backbone]), drop_path, **vit), True
    if not import_timm().is_model(backbone.partition(".")[0]) and is_clip(backbone):
        return create_clip_body(clip_config(backbone), drop_path, **vit), True
    return create_vit(backbone, drop_path, **vit), False
