"""The ViT that a model is built around: timm's, or the small one of this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promptreid.models.backbones.bundled_towers import MINI_VIT, MINI_VIT_NAME, find_weights, mini_state
from promptreid.models.backbones.vit import create_vit
from promptreid.models.weights import load_backbone, load_pretrained

SMALL_VIT = "mini_vit"
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

    ``mini_vit`` is the package's own: its weights are in the package, and nothing is ever downloaded for it. Every
    other name is timm's.

    Args:
        backbone: ``mini_vit`` or a timm ViT, see :func:`~promptreid.models.backbones.vit.create_vit`.
        drop_path: Rate of the last block, growing linearly from 0.
        pretrained: Load weights: ``weights``, else the package's or timm's cache.
        weights: A file, or ``mini_vit`` for the one of that ViT.
        strict: Missing pretrained weights are an error instead of a warning; those of the package always are.
        allow_download: Let timm download the weights if they are not in its cache.
        vit: Further arguments of timm's ViT, such as ``depth``.

    Raises:
        ValueError: An unknown name, or weights that do not fit or, if strict, are not there.
        FileNotFoundError: A file that is named is not there.
    """
    if backbone != SMALL_VIT:
        body = create_vit(backbone, drop_path, **(vit or {}))
    else:
        body = create_vit(MINI_VIT_NAME, drop_path, **{**MINI_VIT, **(vit or {})})
    if not pretrained:
        return body
    if weights == SMALL_VIT or (weights is None and backbone == SMALL_VIT):
        load_backbone(body, mini_state(SMALL_VIT))
    else:
        file = None if weights is None else find_weights(weights)
        load_pretrained(body, backbone, file, strict=strict, allow_download=allow_download)
    return body
