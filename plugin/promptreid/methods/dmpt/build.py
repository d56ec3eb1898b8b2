"""Building a DMPT from names and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from promptreid.methods.dmpt.language import Language
from promptreid.methods.dmpt.model import DMPT, MODALITIES
from promptreid.methods.dmpt.options import DMPTOptions, dmpt
from promptreid.models.backbones.bundled_towers import SMALL_CLIPS
from promptreid.models.backbones.clip_image import ClipTower, clip_config, create_visual, is_clip
from promptreid.models.backbones.clip_text import ClipText, create_text
from promptreid.models.backbones.clip_weights import load_clip
from promptreid.models.backbones.position_embedding import Grid
from promptreid.models.backbones.towers import TimmTower
from promptreid.models.backbones.vit import create_vit
from promptreid.models.precision import outside_inference_mode
from promptreid.models.weights import load_pretrained

CLIP_BACKBONE = "ViT-B-16-quickgelu"  # OpenAI's CLIP ViT-B/16


@outside_inference_mode
def build_dmpt(
    num_classes: int,
    loss: str = "softmax",
    pretrained: bool = True,
    use_gpu: bool = True,
    *,
    backbone: str = CLIP_BACKBONE,
    options: DMPTOptions | None = None,
    cameras: int = 1,
    modalities: Sequence[str] = MODALITIES,
    images_per_sample: int = 3,
    image_size: Grid | None = None,
    stride: int | None = None,
    object_name: str = "person",
    phrases: Mapping[str, str] | None = None,
    weights: str | None = None,
    strict_pretrained: bool = True,
    allow_download: bool = False,
    text_from_state: bool = False,
    tower: Mapping[str, Any] | None = None,
) -> DMPT:
    """Build a :class:`DMPT`; the first four arguments are those torchreid builds models with.

    Args:
        num_classes: Identities in training.
        loss: What training returns; see :class:`DMPT`.
        pretrained: Start from pretrained towers: ``weights``, else the caches. Without, they are random, as torch's
            seed has it, and frozen all the same.
        use_gpu: Has no effect; torchreid moves the model itself.
        backbone: A ViT of open_clip, with an optional tag of pretrained weights (``ViT-B-16-quickgelu:openai``), or one
            of timm, which has no text tower; or ``mini_clip``, the small CLIP of this package.
        options: Which DMPT; :func:`~promptreid.methods.dmpt.options.dmpt` by default.
        cameras: Rows of the camera embedding, if the options have one.
        modalities: Names of the modalities; a modality's id is its index.
        images_per_sample: M, slots of a sample.
        image_size: Height and width in training; given, an image that has no patch is refused here.
        stride: Of the patch embedding, in pixels; None for the patch size.
        object_name: What the sentences say is in the photos: ``person``, ``vehicle``.
        phrases: What they call modalities that have no known words; see
            :func:`~promptreid.methods.dmpt.words.phrases_of`.
        weights: A file with pretrained weights.
        strict_pretrained: Missing pretrained weights are an error; otherwise a warning, and random towers.
        allow_download: Let open_clip or timm download the weights if they are in no cache.
        text_from_state: Build without a text tower: what it says comes with the state dict that is loaded next. Enough
            for evaluation, and to resume where there are no ``context_words``; the file then needs no text weights.
        tower: Other sizes: entries of open_clip's configuration (``embed_dim``, ``vision_cfg``, ``text_cfg``), or
            arguments of timm's ViT.

    Raises:
        ValueError: An argument out of range, a tower that does not suit, or weights that do not fit or, if strict, are
            not there.
        FileNotFoundError: ``weights`` names no file.
    """
    options = options or dmpt()
    if backbone in SMALL_CLIPS:
        backbone, weights, tower = CLIP_BACKBONE, weights or backbone, {**SMALL_CLIPS[backbone], **(tower or {})}
    loading = {"strict": strict_pretrained, "allow_download": allow_download}
    language = Language(options, modalities, object_name, phrases)
    body: Any
    if is_clip(backbone):
        needs_text = options.needs_text and not text_from_state
        body = _clip_tower(backbone, tower, stride, language, needs_text, pretrained, weights, loading)
    else:
        vit = _timm_vit(backbone, tower or {})
        language.check_none(backbone, CLIP_BACKBONE)
        if pretrained:
            load_pretrained(vit, backbone, weights, **loading)
        body = TimmTower(vit, stride)
    if image_size is not None:
        body.grid_of(image_size)
    return DMPT(
        body,
        num_classes,
        loss,
        options,
        cameras,
        modalities,
        images_per_sample,
        language.prompts(body),
        language.alignment(num_classes),
        language.said,
    )


def _clip_tower(
    backbone: str,
    sizes: Mapping[str, Any] | None,
    stride: int | None,
    language: Language,
    needs_text: bool,
    pretrained: bool,
    weights: str | None,
    loading: Mapping[str, bool],
) -> ClipTower:
    """A CLIP's image tower; ``language`` hears what its text tower says."""
    config = clip_config(backbone, sizes)
    visual = create_visual(config)
    text = create_text(config) if needs_text else None
    if pretrained:
        load_clip(visual, text, backbone, weights, search=not sizes, **loading)
    body = ClipTower(visual, stride)
    language.listen(config, None if text is None else ClipText(text).eval())
    return body


def _timm_vit(name: str, sizes: Mapping[str, Any]) -> nn.Module:
    try:
        return create_vit(name, 0.0, **sizes)
    except ValueError as error:
        raise ValueError(f"{name!r} is none of open_clip.list_models(), and {error}") from error
