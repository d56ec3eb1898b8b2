"""Every choice that a reconstruction of DMPT has to make, and the paper's ladder of ablations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

_CHOICES = {
    "word_source": ("states", "embeddings", "sentence", "learned"),
    "word_mapping": ("mlp", "linear"),
    "bind_source": ("semantic", "modality", "both"),
    "bind_output": ("tokens", "semantic", "class"),
    "classifier": ("joint", "single"),
    "frozen_dtype": ("float32", "bfloat16"),
}
_AT_LEAST_ONE = ("semantic_length", "word_length", "bind_length", "first_layer")


class Plan(NamedTuple):
    """Which blocks of a tower are prompted, all counted from 1.

    Attributes:
        first: First prompted block.
        last: Last prompted block.
        interactions: Blocks after which modalities exchange.
    """

    first: int
    last: int
    interactions: tuple[int, ...]


@dataclass(frozen=True)
class DMPTOptions:
    """The architecture of a :class:`~promptreid.methods.dmpt.model.DMPT`; the defaults are those of :func:`dmpt`.

    No code of the paper is public. What public text states is marked *stated*; everything else is chosen, for the
    reason given.

    Attributes:
        semantic: Semantic prompts S_p, shared by the modalities (*stated*: modality-independent).
        semantic_length: S. The paper sweeps it and does not say publicly what it chose; 8, sweep 2 to 32.
        deep: A fresh set of semantic prompts per block (deep visual prompt tuning), else one set, put in once and
            carried. Deep ones are the stronger baseline, at 6144 parameters a block.
        words: Modality prompts M_p from attribute words (*stated*), put in once at the first prompted block and
            carried, so that what they say is not repeated in each block.
        word_length: M. 4 word pieces hold the longest of the phrases; shorter ones are filled up.
        word_source: What of the text tower P maps. ``states`` of the last layer, because the abstract says the prior
            knowledge comes from the text encoder; ``embeddings`` are the words before it, ``sentence`` is one
            feature for all M prompts. ``learned`` has no words at all, for towers without text and as an ablation.
        word_mapping: P (*stated* to be a mapping network): ``mlp`` has a hidden layer, ``linear`` has none. See
            :class:`~promptreid.methods.dmpt.words.WordPrompts` for the count of parameters that decided.
        bind: PromptIBind, by which modalities exchange (*stated*).
        bind_length: How many bind prompts, shared by layers and modalities. 4, like the modality prompts.
        interaction_layers: Blocks after which it happens, counted from 1; None for one and two thirds of the prompted
            blocks, 4 and 8 of 12. The stated 6.5 % of trained parameters leaves room for two attentions, not for one
            per block. Never after the last prompted block: bound tokens need a following block to act.
        bind_source: What the bind prompts read of the other modalities: ``semantic`` prompts, because the ladder has
            the bind before it has modality prompts; those ``modality`` prompts, the literal reading of the paper's
            figure 3; or ``both``.
        bind_output: What becomes of the result. ``tokens``: joined to the sequence and carried, until the next
            interaction replaces them, which leaves patch and class tokens to themselves (*stated*: without
            contaminating them); ``semantic``: added to the next block's semantic prompts; ``class``: its mean added
            to the class token, direct fusion, an ablation.
        alignment: The visual-language loss against the modalities' sentences W_t (*stated*: contrastive).
        context_words: Learned words before each sentence (CoOp); 0 for the fixed sentences that are *stated*.
        temperature: tau of that loss; 0.01 is CLIP's own, frozen.
        prompt_std: Standard deviation of the prompts' normal initialisation; 0.02 as usual for tokens.
        first_layer: First prompted block, counted from 1.
        prompt_depth: How many blocks, from there, are prompted; None for all that follow. With the last k of L alone,
            a training step costs 1 + k / L forward passes instead of 2.
        classifier: ``joint``: one BNNeck and classifier on the concatenation of the modalities' features, as the
            family has it on RGBNT201; ``single``: one per slot, as on the vehicle sets.
        sie_weight: Scale of a learned camera embedding on the class token; 0 for none. Nothing says that DMPT has one;
            its relatives have, with 1.0. It is a trained vector at the input, so that backward goes through every
            block.
        after_bn: The descriptor is made of features after the BNNecks instead of before.
        frozen: The tower is frozen (*stated*); False trains all of it, as the baseline does.
        frozen_dtype: What a frozen tower is kept as and computes in; ``bfloat16`` halves its memory and spares mixed
            precision its copies. Features come out in float32 either way.

    Raises:
        ValueError: A value out of range, or choices that contradict each other.
    """

    semantic: bool = True
    semantic_length: int = 8
    deep: bool = True
    words: bool = True
    word_length: int = 4
    word_source: str = "states"
    word_mapping: str = "mlp"
    bind: bool = True
    bind_length: int = 4
    interaction_layers: tuple[int, ...] | None = None
    bind_source: str = "semantic"
    bind_output: str = "tokens"
    alignment: bool = True
    context_words: int = 0
    temperature: float = 0.01
    prompt_std: float = 0.02
    first_layer: int = 1
    prompt_depth: int | None = None
    classifier: str = "joint"
    sie_weight: float = 0.0
    after_bn: bool = False
    frozen: bool = True
    frozen_dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.interaction_layers is not None:
            object.__setattr__(self, "interaction_layers", tuple(self.interaction_layers))
        for field, choices in _CHOICES.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be one of {choices}, got {getattr(self, field)!r}")
        for field in (*_AT_LEAST_ONE, *(["prompt_depth"] if self.prompt_depth is not None else [])):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, got {getattr(self, field)}")
        for field in ("context_words", "sie_weight"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field} must be at least 0, got {getattr(self, field)}")
        for field in ("temperature", "prompt_std"):
            if not getattr(self, field) > 0:
                raise ValueError(f"{field} must be positive, got {getattr(self, field)}")
        for contradiction, message in self._contradictions():
            if contradiction:
                raise ValueError(message)

    def _contradictions(self) -> Iterator[tuple[bool, str]]:
        layers, source, output = self.interaction_layers, self.bind_source, self.bind_output
        yield layers is not None and not self.bind, f"interaction_layers={layers} belong to the bind, and bind=False"
        if layers is not None:
            ascending = all(one < two for one, two in pairwise(layers))
            yield not layers or layers[0] < 1 or not ascending, f"interaction_layers must ascend from 1, got {layers}"
        if self.bind:
            reads_semantic, reads_words = source in ("semantic", "both"), source in ("modality", "both")
            yield reads_semantic and not self.semantic, f"bind_source={source!r} reads semantic prompts; semantic=False"
            yield reads_words and not self.words, f"bind_source={source!r} reads modality prompts, and words=False"
            yield output == "semantic" and not self.semantic, "bind_output='semantic' needs semantic prompts"
            unequal = self.bind_length != self.semantic_length
            yield (
                output == "semantic" and unequal,
                f"bind_output='semantic' adds prompt to prompt: bind_length={self.bind_length} must equal "
                f"semantic_length={self.semantic_length}",
            )
        yield self.context_words > 0 and not self.alignment, "context_words are part of the alignment; alignment=False"
        ranged = self.first_layer > 1 or self.prompt_depth is not None
        yield ranged and not self.prompted, "first_layer and prompt_depth limit prompts, and all of them are off"
        halved = self.frozen_dtype != "float32" and not self.frozen
        yield halved, f"frozen_dtype={self.frozen_dtype!r} is for a frozen tower; a trained one stays in float32"

    @property
    def prompted(self) -> bool:
        """Whether there are prompts in the image tower."""
        return self.semantic or self.words or self.bind

    @property
    def needs_text(self) -> bool:
        """Whether a text tower has to say something about the modalities."""
        return self.alignment or (self.words and self.word_source != "learned")

    def plan(self, layers: int) -> Plan:
        """Which of a tower's blocks are prompted.

        Raises:
            ValueError: More than the tower has, or an interaction where it could not act.
        """
        depth = layers - self.first_layer + 1 if self.prompt_depth is None else self.prompt_depth
        first, last = self.first_layer, self.first_layer + depth - 1
        if depth < 1 or last > layers:
            raise ValueError(
                f"first_layer={first} with prompt_depth={self.prompt_depth} does not fit a tower of {layers} blocks"
            )
        if not self.bind:
            return Plan(first, last, ())
        chosen = self.interaction_layers or sorted({first - 1 + round(depth * third / 3) for third in (1, 2)})
        misplaced = [layer for layer in chosen if not first <= layer < last]
        if misplaced:
            raise ValueError(
                f"interaction after block {misplaced} of {layers} is not possible: it reads prompts of blocks {first} "
                f"to {last} and acts on the block that follows; set interaction_layers in {first}..{last - 1}, or "
                "bind False"
            )
        return Plan(first, last, tuple(chosen))


def dmpt_s(**changes: Any) -> DMPTOptions:
    """Semantic prompts alone, the paper's "baseline_1".

    Args:
        changes: Fields of :class:`DMPTOptions` to set otherwise.
    """
    return DMPTOptions(**{"words": False, "bind": False, "alignment": False, **changes})


def dmpt_s_bind(**changes: Any) -> DMPTOptions:
    """Semantic and bind prompts, the ladder's second step.

    Args:
        changes: Fields of :class:`DMPTOptions` to set otherwise.
    """
    return DMPTOptions(**{"words": False, "alignment": False, **changes})


def dmpt_s_bind_m(**changes: Any) -> DMPTOptions:
    """Semantic, bind and modality prompts, the ladder's third step.

    Args:
        changes: Fields of :class:`DMPTOptions` to set otherwise.
    """
    return DMPTOptions(**{"alignment": False, **changes})


def dmpt(**changes: Any) -> DMPTOptions:
    """The full method: all prompts, and the alignment with sentences.

    Args:
        changes: Fields of :class:`DMPTOptions` to set otherwise.
    """
    return DMPTOptions(**changes)
