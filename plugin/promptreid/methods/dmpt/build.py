"""Building a DMPT from names and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from promptreid.methods.dmpt.alignment import ContextAlignment, TextAlignment
from promptreid.methods.dmpt.model import DMPT, MODALITIES
from promptreid.methods.dmpt.options import DMPTOptions, dmpt
from promptreid.methods.dmpt.words import (
    FreeModalityPrompts,
    TextConstant,
    WordPrompts,
    phrases_of,
    sentence_of,
    word_constants,
)
from promptreid.models.backbones.bundled_towers import MINI_CLIP
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
    if backbone == "mini_clip":
        backbone, weights, tower = CLIP_BACKBONE, weights or backbone, {**MINI_CLIP, **(tower or {})}
    loading = {"strict": strict_pretrained, "allow_download": allow_download}
    language = _Language(options, modalities, object_name, phrases)
    if is_clip(backbone):
        config = clip_config(backbone, tower)
        visual = create_visual(config)
        needs_text = options.needs_text and not text_from_state
        text = create_text(config) if needs_text else None
        if pretrained:
            load_clip(visual, text, backbone, weights, search=not tower, **loading)
        body: Any = ClipTower(visual, stride)
        language.listen(config, None if text is None else ClipText(text).eval())
    else:
        vit = _timm_vit(backbone, tower or {})
        language.check_none(backbone)
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
        language.prompts(body.dim),
        language.alignment(),
        language.said,
    )


def _timm_vit(name: str, sizes: Mapping[str, Any]) -> nn.Module:
    try:
        return create_vit(name, 0.0, **sizes)
    except ValueError as error:
        raise ValueError(f"{name!r} is none of open_clip.list_models(), and {error}") from error


class _Language:
    """What the options want of the text tower, and what it said."""

    def __init__(
        self, options: DMPTOptions, modalities: Sequence[str], object_name: str, phrases: Mapping[str, str] | None
    ) -> None:
        self.options = options
        self.count = len(modalities)
        self.object_name = object_name
        self.config: Mapping[str, Any] = {}
        self.text: ClipText | None = None
        if self.count < 1:
            raise ValueError("expected the names of the modalities, got none")
        if options.alignment and self.count < 2:
            raise ValueError(
                f"alignment contrasts modalities, and {list(modalities)} is a single one; set alignment False"
            )
        self.phrases = phrases_of(modalities, phrases) if options.needs_text else []
        self.said = [self.phrases, object_name] if options.needs_text else []

    def check_none(self, backbone: str) -> None:
        """Raise ``ValueError`` if a text tower is wanted."""
        if self.options.needs_text:
            raise ValueError(
                f"{backbone!r} has no text tower: set alignment False and word_source 'learned' (or words False), or "
                f"use a CLIP tower such as {CLIP_BACKBONE}"
            )

    def listen(self, config: Mapping[str, Any], text: ClipText | None) -> None:
        """Take in the text tower, or only its sizes."""
        self.config, self.text = config, text

    def prompts(self, dim: int) -> nn.Module | None:
        """The modality prompts."""
        options = self.options
        if not options.words:
            return None
        if options.word_source == "learned":
            return FreeModalityPrompts(self.count, options.word_length, dim, options.prompt_std)
        constant = TextConstant(
            (self.count, *self._word_shape())
            if self.text is None
            else word_constants(self.text, self.phrases, self.object_name, options.word_length, options.word_source)
        )
        return WordPrompts(constant, options.word_length, dim, options.word_mapping)

    def alignment(self) -> TextAlignment | ContextAlignment | None:
        """The visual-language alignment."""
        options, text = self.options, self.text
        if not options.alignment:
            return None
        if options.context_words:
            width = self.config["text_cfg"]["width"]
            return ContextAlignment(
                text, self.phrases, self.object_name, options.context_words, width, options.temperature
            )
        if text is None:
            return TextAlignment(TextConstant((self.count, self.config["embed_dim"])), options.temperature)
        tokens = text.tokenise([sentence_of(phrase, self.object_name) for phrase in self.phrases])
        return TextAlignment(TextConstant(text.project(text.states(tokens), tokens)), options.temperature)

    def _word_shape(self) -> tuple[int, int]:
        if self.options.word_source == "sentence":
            return 1, self.config["embed_dim"]
        return self.options.word_length, self.config["text_cfg"]["width"]
