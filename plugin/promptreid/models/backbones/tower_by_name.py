"""The frozen or tuned tower of a name: open_clip's, with its text tower where there is a plain one, or timm's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from promptreid.models.backbones.clip_image import (
    ClipTower,
    TimmVisual,
    clip_config,
    create_visual,
    has_plain_text,
    is_clip,
)
from promptreid.models.backbones.clip_text import ClipText, create_text
from promptreid.models.backbones.clip_weights import load_clip
from promptreid.models.backbones.towers import TimmTower
from promptreid.models.backbones.vit import create_vit, import_timm
from promptreid.models.weights import load_pretrained


def text_config(backbone: str, sizes: Mapping[str, Any]) -> Mapping[str, Any]:
    """open_clip's configuration of a name; empty where it has no text tower of CLIP's kind.

    Args:
        backbone, sizes: See :func:`create_tower`.

    Raises:
        ValueError: A name that neither open_clip nor timm knows, or a tower of open_clip that cannot be prompted.
    """
    if is_clip(backbone):
        config = clip_config(backbone, sizes)
        return config if has_plain_text(config) else {}
    if not import_timm().is_model(backbone.partition(".")[0]):
        _timm_vit(backbone, sizes)  # says what is wrong with the name
    return {}


def create_tower(
    backbone: str,
    sizes: Mapping[str, Any],
    stride: int | None = None,
    with_text: bool = False,
    pretrained: bool = True,
    weights: str | Path | None = None,
    strict: bool = True,
    allow_download: bool = False,
) -> tuple[Any, ClipText | None]:
    """Build the tower of a name, pretrained if wished, and the text tower beside it.

    Args:
        backbone: A ViT of open_clip, with an optional tag of pretrained weights, or one of timm.
        sizes: Entries of open_clip's configuration, or arguments of timm's ViT, to set otherwise.
        stride: Of the patch embedding, in pixels; None for the patch size.
        with_text: Build the text tower, too, which has to be of CLIP's kind.
        pretrained, weights, strict, allow_download: See
            :func:`~promptreid.models.backbones.clip_weights.load_clip` and
            :func:`~promptreid.models.weights.load_pretrained`.

    Returns:
        What :class:`~promptreid.models.backbones.towers.Tower` describes, and the text tower or None.

    Raises:
        ValueError: Unknown to both, a tower that cannot be taken apart, or weights that do not fit or, if strict, are
            not there.
        FileNotFoundError: ``weights`` names no file.
    """
    loading: dict[str, Any] = {"strict": strict, "allow_download": allow_download}
    if not is_clip(backbone):
        vit = _timm_vit(backbone, sizes)
        if pretrained:
            load_pretrained(vit, backbone, weights, **loading)
        return TimmTower(vit, stride), None
    config = clip_config(backbone, sizes)
    visual: Any = create_visual(config)
    text = create_text(config) if with_text else None
    if pretrained:
        load_clip(visual, text, backbone, weights, search=not sizes, **loading)
    tower = TimmTower(visual.trunk, stride) if isinstance(visual, TimmVisual) else ClipTower(visual, stride)
    return tower, None if text is None else ClipText(text).eval()


def _timm_vit(name: str, sizes: Mapping[str, Any]) -> nn.Module:
    try:
        return create_vit(name, 0.0, **sizes)
    except ValueError as error:
        raise ValueError(f"{name!r} is none of open_clip.list_models(), and {error}") from error
