"""Options of DMPT that contradict each other, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any


def contradictions(options: Any) -> Iterator[tuple[bool, str]]:
    """Whether they do, and what to say then, for :class:`~promptreid.methods.dmpt.options.DMPTOptions`."""
    yield from _bind(options)
    yield from _words(options)
    yield from _attention(options)
    yield from _alignment(options)
    yield from _beside(options)
    ranged = options.first_layer > 1 or options.prompt_depth is not None
    yield ranged and not options.tuned, "first_layer and prompt_depth limit prompts, and all of them are off"
    halved = options.frozen_dtype != "float32" and not options.frozen
    yield halved, f"frozen_dtype={options.frozen_dtype!r} is for a frozen tower; a trained one stays in float32"


def _bind(o: Any) -> Iterator[tuple[bool, str]]:
    layers, source, output = o.interaction_layers, o.bind_source, o.bind_output
    if not o.bind:
        off = "belong to the bind, and bind=False"
        yield layers is not None, f"interaction_layers={layers} {off}"
        yield o.bind_keys != "others", f"bind_keys={o.bind_keys!r} {off}; set it to 'others'"
        yield o.bind_direction != "gather", f"bind_direction={o.bind_direction!r} {off}; set it to 'gather'"
        yield o.bind_residual, f"bind_residual=True {off}; set it to False"
        return
    if layers is not None:
        ascending = all(one < two for one, two in pairwise(layers))
        yield not layers or layers[0] < 1 or not ascending, f"interaction_layers must ascend from 1, got {layers}"
        alone = o.bind_residual and len(layers) == 1
        yield (
            alone,
            f"bind_residual=True adds to the interaction before, and {layers} is one; give two, or set it False",
        )
    reads_semantic, reads_words = source in ("semantic", "both"), source in ("modality", "both")
    yield reads_semantic and not o.semantic, f"bind_source={source!r} reads semantic prompts; semantic=False"
    yield reads_words and not o.words, f"bind_source={source!r} reads modality prompts, and words=False"
    yield output == "semantic" and not o.semantic, "bind_output='semantic' needs semantic prompts"
    yield (
        output == "semantic" and o.bind_length != o.semantic_length and o.bind_direction == "gather",
        f"bind_output='semantic' adds prompt to prompt: bind_length={o.bind_length} must equal "
        f"semantic_length={o.semantic_length}",
    )
    yield (
        o.bind_direction == "medium" and output != "tokens",
        f"bind_direction='medium' answers the prompts that ask, those of bind_source: bind_output={output!r} has no "
        "place there; leave it at 'tokens', or set bind_direction='gather'",
    )


def _words(o: Any) -> Iterator[tuple[bool, str]]:
    learned = o.word_source == "learned"
    if not o.words:
        for field, default in _OF_WORDS.items():
            value = getattr(o, field)
            yield (
                value != default,
                f"{field}={value!r} is about modality prompts, and words=False; set it to {default!r}",
            )
    yield (
        o.word_source == "layers" and not o.word_deep,
        "word_source='layers' has states for each block; set word_deep=True, or word_source='states'",
    )
    yield (
        o.word_maps != "shared" and (learned or not o.word_deep),
        f"word_maps={o.word_maps!r} maps words anew for each block; set word_deep=True and a word_source with words, "
        "or word_maps='shared'",
    )
    yield (
        o.word_offsets and o.word_source not in ("states", "embeddings", "layers"),
        f"word_offsets=True tells word pieces apart, and word_source={o.word_source!r} has none; set it to 'states', "
        "or word_offsets=False",
    )
    yield (
        o.word_std > 0 and learned,
        f"word_std={o.word_std} scales what the mapping gives, and word_source='learned' has none; set prompt_std, and "
        "word_std=0",
    )
    if o.word_output == "semantic":
        yield from _added_words(o)


_OF_WORDS: dict[str, Any] = {
    "word_offsets": False,
    "word_deep": False,
    "word_output": "tokens",
    "word_std": 0.0,
    "word_content": 0,
    "word_first_layer": None,
}


def _added_words(o: Any) -> Iterator[tuple[bool, str]]:
    """Modality prompts that are added to the semantic ones instead of being tokens."""
    added = "word_output='semantic' adds modality prompts to each block's semantic prompts"
    yield not (o.semantic and o.deep and o.word_deep), f"{added}; set semantic=True, deep=True and word_deep=True"
    yield (
        o.word_length != o.semantic_length,
        f"{added}, one to one: word_length={o.word_length} must equal semantic_length={o.semantic_length}",
    )
    yield (
        o.bind and o.bind_source != "semantic",
        f"{added}, so that there are none for bind_source={o.bind_source!r} to read; set it to 'semantic'",
    )


def _attention(o: Any) -> Iterator[tuple[bool, str]]:
    for field, default in (("prompt_attention", "joint"), ("attention_temperature", False)):
        value = getattr(o, field)
        off = value != default and not o.prompted
        yield off, f"{field}={value!r} is about prompts, and all of them are off; set it to {default!r}"
    bound = o.bind and o.bind_direction == "gather" and o.bind_output == "tokens"
    carried = (o.words and not o.word_deep) or bound or (o.semantic and not o.deep)
    yield (
        o.prompt_gates and not carried,
        "prompt_gates=True is about prompts that are carried from block to block, and each block has new ones; set it "
        "to False, or word_deep or deep to False",
    )
    free = o.semantic or (o.words and o.word_source == "learned")
    yield (
        o.prompt_init == "patches" and not free,
        "prompt_init='patches' is for semantic prompts and for modality prompts of word_source='learned'; there are "
        "none, so set it to 'normal'",
    )


def _alignment(o: Any) -> Iterator[tuple[bool, str]]:
    if not o.alignment:
        yield o.context_words > 0, "context_words are part of the alignment; alignment=False"
        for field, default in (("alignment_of", "modality"), ("alignment_on", "class"), ("alignment_symmetric", False)):
            value = getattr(o, field)
            yield value != default, f"{field}={value!r} is part of the alignment; set alignment=True, or it {default!r}"
        return
    yield (
        o.alignment_of == "identity" and not o.context_words,
        "alignment_of='identity' learns words for each identity: set context_words to how many, such as 4",
    )
    yield (
        o.alignment_on == "modality_prompts" and (not o.words or o.word_output != "tokens"),
        "alignment_on='modality_prompts' reads the outputs of modality prompts: set words=True and "
        "word_output='tokens', or alignment_on='class'",
    )


def _beside(o: Any) -> Iterator[tuple[bool, str]]:
    """What belongs to an option beyond the paper that is off."""
    for field, default, of in (
        ("adapter_shared", True, "adapter"),
        ("adapter_scale", 0.1, "adapter"),
        ("lora_alpha", 8.0, "lora"),
    ):
        value = getattr(o, field)
        off = value != default and not getattr(o, of)
        yield off, f"{field}={value!r} belongs to {of}, and {of}=0; set {of} above 0, or {field} to {default!r}"
