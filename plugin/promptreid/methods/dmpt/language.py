"""What a DMPT wants of the text tower: modality prompts from words, and sentences to align with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from promptreid.methods.dmpt.alignment import ContextAlignment, TextAlignment
from promptreid.methods.dmpt.identity_alignment import IdentityAlignment
from promptreid.methods.dmpt.modality_prompts import (
    BlockWordPrompts,
    FreeBlockPrompts,
    FreeModalityPrompts,
    WordPrompts,
)
from promptreid.methods.dmpt.options import DMPTOptions
from promptreid.methods.dmpt.words import (
    TextConstant,
    phrases_of,
    sentence_of,
    text_layers,
    word_constants,
)
from promptreid.models.backbones.clip_text import ClipText


class Language:
    """What the options want of the text tower, and what it said.

    Args:
        options: Which DMPT.
        modalities: Names.
        object_name: What the photos show.
        phrases: Words of modalities that have no known ones.

    Raises:
        ValueError: No modality, one without words, or a single one to be told from others.
    """

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
        if options.alignment and self.count < 2 and options.alignment_of == "modality":
            raise ValueError(
                f"alignment contrasts modalities, and {list(modalities)} is a single one; set alignment False"
            )
        self.phrases = phrases_of(modalities, phrases) if options.needs_text else []
        self.said = [self.phrases, object_name] if options.needs_text else []

    def check_none(self, backbone: str, other: str) -> None:
        """Raise ``ValueError`` if a text tower is wanted, which ``other`` has."""
        if self.options.needs_text:
            raise ValueError(
                f"{backbone!r} has no text tower of CLIP's kind: set alignment False and word_source 'learned' (or "
                f"words False), or use a CLIP tower such as {other}"
            )

    def listen(self, config: Mapping[str, Any], text: ClipText | None) -> None:
        """Take in the text tower, or only its sizes."""
        self.config, self.text = config, text

    def prompts(self, tower: Any) -> nn.Module | None:
        """The modality prompts of an image tower."""
        options = self.options
        if not options.words:
            return None
        blocks = self._blocks(tower.layers)
        sizes = (self.count, options.word_length, tower.dim, options.prompt_std)
        if options.word_source == "learned":
            return FreeBlockPrompts(len(blocks), *sizes) if options.word_deep else FreeModalityPrompts(*sizes)
        constant = TextConstant(
            (self.count, *self._word_shape(blocks)) if self.text is None else self._said(tower, blocks)
        )
        further = (options.word_std, options.prompt_std if options.word_offsets else None)
        if not options.word_deep:
            return WordPrompts(constant, options.word_length, tower.dim, options.word_mapping, *further)
        maps = (options.word_mapping, options.word_maps, options.word_rank)
        return BlockWordPrompts(constant, len(blocks), options.word_length, tower.dim, *maps, *further)

    def _blocks(self, layers: int) -> range:
        """The blocks with modality prompts of their own, from 1."""
        plan = self.options.plan(layers)
        return range(self.options.word_first_layer or plan.first, plan.last + 1)

    def _said(self, tower: Any, blocks: Sequence[int]) -> Any:
        """What the text tower says of the words, as :func:`word_constants` has it."""
        assert self.text is not None
        layers = text_layers(blocks, tower.layers, len(self.text.text.transformer.resblocks))
        options = self.options
        return word_constants(
            self.text, self.phrases, self.object_name, options.word_length, options.word_source, layers
        )

    def alignment(self, identities: int) -> nn.Module | None:
        """The visual-language alignment."""
        options, text = self.options, self.text
        if not options.alignment:
            return None
        if options.context_words:
            sizes = (options.context_words, self.config["text_cfg"]["width"], options.temperature)
            if options.alignment_of == "identity":
                return IdentityAlignment(text, self.phrases, self.object_name, identities, *sizes)
            return ContextAlignment(text, self.phrases, self.object_name, *sizes)
        if text is None:
            return TextAlignment(TextConstant((self.count, self.config["embed_dim"])), options.temperature)
        tokens = text.tokenise([sentence_of(phrase, self.object_name) for phrase in self.phrases])
        return TextAlignment(TextConstant(text.project(text.states(tokens), tokens)), options.temperature)

    def _word_shape(self, blocks: Sequence[int]) -> tuple[int, ...]:
        options = self.options
        if options.word_source == "sentence":
            return 1, self.config["embed_dim"]
        length, width = options.word_length, self.config["text_cfg"]["width"]
        return {"end": (1, width), "layers": (len(blocks), length, width)}.get(options.word_source, (length, width))
