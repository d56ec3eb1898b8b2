"""Every choice that a reconstruction of DMPT has to make, and the paper's ladder of ablations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from promptreid.methods.dmpt.contradictions import contradictions
from promptreid.methods.dmpt.plan import Plan, plan_of

__all__ = ["CHOICES", "PLUS", "DMPTOptions", "Plan", "dmpt", "dmpt_plus", "dmpt_s", "dmpt_s_bind", "dmpt_s_bind_m"]

CHOICES = {
    "word_source": ("states", "embeddings", "sentence", "end", "layers", "learned"),
    "word_mapping": ("mlp", "linear"),
    "word_maps": ("shared", "each", "low_rank"),
    "word_output": ("tokens", "semantic"),
    "bind_keys": ("others", "all"),
    "bind_direction": ("gather", "medium"),
    "bind_source": ("semantic", "modality", "both"),
    "bind_output": ("tokens", "semantic", "class"),
    "prompt_attention": ("joint", "apart"),
    "prompt_init": ("normal", "patches"),
    "alignment_of": ("modality", "identity"),
    "alignment_on": ("class", "modality_prompts"),
    "classifier": ("joint", "single"),
    "frozen_dtype": ("float32", "bfloat16"),
}
"""The values of the options that are names."""
_AT_LEAST_ONE = ("semantic_length", "word_length", "word_rank", "bind_length", "first_layer")
_OPTIONAL = ("prompt_depth", "word_first_layer")
_FROM_ZERO = ("context_words", "sie_weight", "word_std", "word_content", "adapter", "exchange", "lora")
_POSITIVE = ("temperature", "prompt_std", "adapter_scale", "lora_alpha")
PLUS = {"bind": False, "words": False, "alignment": False, "adapter": 296}
"""What :func:`dmpt_plus` has otherwise than :class:`DMPTOptions`: semantic prompts, and adapters as wide as 6.5 % of a
ViT-B/16 allow. In ``results/dmpt_plus`` adapters gain most of all options, and more than a bind of as many parameters.
"""


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
            ``end`` is the state at the end of the text, which is what CLIP was trained to say something with, mapped to
            all M prompts. ``layers`` are the states that the text layers have between them, W_{l-1} for block l
            (*stated* is the recursion W_{l+1} = T_l(W_l)); it needs ``word_deep``.
        word_mapping: P (*stated* to be a mapping network): ``mlp`` has a hidden layer, ``linear`` has none. See
            :class:`~promptreid.methods.dmpt.modality_prompts.WordPrompts` for the count of parameters that decided.
        word_offsets: A learned vector per slot is added to a^m before P, since a phrase of fewer than M word pieces is
            filled up with copies of one state, which stay copies through all blocks; N(0, prompt_std).
        word_deep: Each prompted block gets modality prompts of its own, as MaPLe has it, in the place of the outputs of
            the block before; else they are put in once and carried.
        word_maps: P of these blocks: one that is ``shared``, one for ``each``, or the shared one and a ``low_rank``
            change of it per block, zero at the start.
        word_rank: Of that change.
        word_std: Standard deviation that each modality prompt is scaled to; that of the semantic prompts is 0.02 to
            0.04 and P gives ten times that. 0 leaves them as P gives them.
        word_output: Modality prompts are ``tokens``, or added to the block's ``semantic`` prompts, times a learned gate
            per block that starts at zero.
        word_content: Width of a bottleneck from an image's mean patch token to a change of its modality prompts, zero
            at the start; 0 for none. See :class:`~promptreid.methods.dmpt.content.ContentPrompts`.
        word_first_layer: First block with modality prompts, counted from 1; None for the first prompted one.
        bind: PromptIBind, by which modalities exchange (*stated*).
        bind_length: How many bind prompts, shared by layers and modalities. 4, like the modality prompts.
        interaction_layers: Blocks after which it happens, counted from 1; None for one and two thirds of the prompted
            blocks, 4 and 8 of 12. The stated 6.5 % of trained parameters leaves room for two attentions, not for one
            per block. Never after the last prompted block: bound tokens need a following block to act.
        bind_source: What the bind prompts read of the other modalities: ``semantic`` prompts, because the ladder has
            the bind before it has modality prompts; those ``modality`` prompts, the literal reading of the paper's
            figure 3; or ``both``.
        bind_keys: Bind prompts read the ``others``, or ``all`` modalities of the sample, the own one too; then they are
            the same for all of them, one set per sample.
        bind_direction: ``gather``: what bind prompts read goes where ``bind_output`` says. ``medium`` (*stated*: "a
            medium to connect the semantic prompt tokens of different modalities"): the prompts that they read, those of
            ``bind_source``, then ask them by a second attention, and the answer is added to these prompts in the next
            block. With ``bind_keys`` ``all`` it is the inverse of LanguageBind's one-to-many.
        bind_residual: An interaction adds to the bind prompts that the one before gave, instead of starting from B.
        bind_output: What becomes of the result. ``tokens``: joined to the sequence and carried, until the next
            interaction replaces them, which leaves patch and class tokens to themselves (*stated*: without
            contaminating them); ``semantic``: added to the next block's semantic prompts; ``class``: its mean added
            to the class token, direct fusion, an ablation.
        alignment: The visual-language loss against the modalities' sentences W_t (*stated*: contrastive).
        alignment_of: What sentences say of an image: its ``modality``, or its ``identity``, by ``context_words`` that
            are learned for each, "a near-infrared photo of a X X X X person", as in CLIP-ReID and ICPL. Classifying the
            modality makes it a constant in each slot of a descriptor, which no ranking gains from.
        alignment_on: Which feature is compared with them: that of the ``class`` token, or the mean output of the
            ``modality_prompts``, so that the descriptor need not tell the modality.
        alignment_symmetric: The mean of the contrast among the sentences and that among the batch's images.
        context_words: Learned words before each sentence (CoOp), or in place of each identity; 0 for fixed sentences. A
            review of the paper has fixed ones; its own figure 2 lists text prompts among what is tuned.
        temperature: tau of that loss; 0.01 is CLIP's own, frozen.
        prompt_std: Standard deviation of the prompts' normal initialisation; 0.02 as usual for tokens.
        prompt_init: ``normal``; or ``patches``: semantic prompts, and modality prompts without words, start as patch
            tokens of training images (of that modality) where they enter, as in SPT (arXiv 2402.02382).
        prompt_attention: ``joint``: one softmax over all tokens. ``apart``: class and patch tokens attend to the
            prompts with a softmax of its own, times a learned gate per block that starts at zero (CVPT, arXiv
            2408.14961).
        prompt_gates: A learned gate per block mixes what a block makes of carried prompts with what they were before
            (arXiv 2306.05067): g V(P) + (1 - g) P, g = sigmoid(4) at the start.
        attention_temperature: A learned temperature of the attention in each prompted block (the same paper).
        adapter: Width of a bottleneck beside the MLP of each prompted block; 0 for none. See
            :class:`~promptreid.methods.dmpt.adapter.Adapter`.
        adapter_shared: One for all modalities, else one for each.
        adapter_scale: Factor on what it adds; 0.1 as in AdaptFormer.
        exchange: Width of a bottleneck in each prompted block by which an image's tokens tell those at the same place
            of the sample's other images; 0 for none. Beside the bind or, with ``bind`` False, in its place. See
            :class:`~promptreid.methods.dmpt.exchange.ExchangeAdapter`.
        lora: Rank of changes of the queries' and values' projections in each prompted block; 0 for none. See
            :class:`~promptreid.methods.dmpt.lora.LoRA`.
        lora_alpha: Their factor is this over the rank.
        fusion: The modalities' features have weights of each sample's own, 1 at the start. See
            :class:`~promptreid.methods.dmpt.fusion.Fusion`.
        first_layer: First prompted block, counted from 1; what the options above change in blocks begins there, too.
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
    word_offsets: bool = False
    word_deep: bool = False
    word_maps: str = "shared"
    word_rank: int = 8
    word_std: float = 0.0
    word_output: str = "tokens"
    word_content: int = 0
    word_first_layer: int | None = None
    bind: bool = True
    bind_length: int = 4
    interaction_layers: tuple[int, ...] | None = None
    bind_source: str = "semantic"
    bind_keys: str = "others"
    bind_direction: str = "gather"
    bind_residual: bool = False
    bind_output: str = "tokens"
    alignment: bool = True
    alignment_of: str = "modality"
    alignment_on: str = "class"
    alignment_symmetric: bool = False
    context_words: int = 0
    temperature: float = 0.01
    prompt_std: float = 0.02
    prompt_init: str = "normal"
    prompt_attention: str = "joint"
    prompt_gates: bool = False
    attention_temperature: bool = False
    adapter: int = 0
    adapter_shared: bool = True
    adapter_scale: float = 0.1
    exchange: int = 0
    lora: int = 0
    lora_alpha: float = 8.0
    fusion: bool = False
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
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be one of {choices}, got {getattr(self, field)!r}")
        for field in (*_AT_LEAST_ONE, *(name for name in _OPTIONAL if getattr(self, name) is not None)):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, got {getattr(self, field)}")
        for field in _FROM_ZERO:
            if not getattr(self, field) >= 0:
                raise ValueError(f"{field} must be at least 0, got {getattr(self, field)}")
        for field in _POSITIVE:
            if not getattr(self, field) > 0:
                raise ValueError(f"{field} must be positive, got {getattr(self, field)}")
        for contradiction, message in contradictions(self):
            if contradiction:
                raise ValueError(message)

    @property
    def prompted(self) -> bool:
        """Whether there are prompts in the image tower."""
        return self.semantic or self.words or self.bind

    @property
    def tuned(self) -> bool:
        """Whether anything in the blocks of the image tower is trained: prompts, or what stands beside them."""
        return self.prompted or bool(self.adapter or self.exchange or self.lora)

    @property
    def word_tokens(self) -> bool:
        """Whether modality prompts are tokens of their own."""
        return self.words and self.word_output == "tokens"

    @property
    def needs_text(self) -> bool:
        """Whether a text tower has to say something about the modalities."""
        return self.alignment or (self.words and self.word_source != "learned")

    def plan(self, layers: int) -> Plan:
        """Which of a tower's blocks are prompted.

        Raises:
            ValueError: More than the tower has, or an interaction or modality prompts where they could not act.
        """
        return plan_of(self, layers)


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


def dmpt_plus(**changes: Any) -> DMPTOptions:
    """Beyond the paper: semantic prompts and wide adapters, :data:`PLUS`.

    Args:
        changes: Fields of :class:`DMPTOptions` to set otherwise.
    """
    return DMPTOptions(**{**PLUS, **changes})
