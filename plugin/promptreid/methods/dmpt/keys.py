"""DMPT's node of the configuration."""

from __future__ import annotations

from promptreid.config.schema import COUNT, FROM_ZERO, POSITIVE, Key
from promptreid.methods.dmpt.options import CHOICES

KEYS = (
    Key("preset", "dmpt", "the whole method, a step of the paper's ablation, or `dmpt_plus`, beyond the paper",
        choices=("dmpt", "dmpt_s_bind_m", "dmpt_s_bind", "dmpt_s", "dmpt_plus")),
    Key("object", "person", "what the sentences say is in the photos, `vehicle` for instance"),
    Key("semantic", True, "semantic prompts; off for an ablation"),
    Key("semantic_length", 8, "semantic prompts per block", range=COUNT),
    Key("deep", True, "a set of semantic prompts for each block; off: one, put in at the first and carried"),
    Key("words", None, "modality prompts from words; not set: the preset's", kind=bool),
    Key("word_length", 4, "modality prompts", range=COUNT),
    Key("word_source", "states", "what of the text tower they come from; `learned`: no text at all",
        choices=CHOICES["word_source"]),
    Key("word_mapping", "mlp", "from there to the image tower's width", choices=("mlp", "linear")),
    Key("word_offsets", False, "a learned vector per modality prompt before the mapping; else the slots that a phrase"
        " does not fill are copies"),
    Key("word_deep", False, "modality prompts of each prompted block's own; off: put in once and carried"),
    Key("word_maps", "shared", "the mapping of these: one, one for `each` block, or a `low_rank` change of it per"
        " block", choices=CHOICES["word_maps"]),
    Key("word_rank", 8, "of that change", range=COUNT, needs="word_maps=low_rank"),
    Key("word_std", 0.0, "standard deviation that modality prompts are scaled to, 0.02 like semantic ones; 0: as"
        " mapped", range=FROM_ZERO),
    Key("word_output", "tokens", "modality prompts are tokens, or are added to the `semantic` prompts by gates that"
        " start at zero", choices=CHOICES["word_output"]),
    Key("word_content", 0, "width of a bottleneck by which the image's mean patch changes its modality prompts; 0:"
        " none", range=FROM_ZERO),
    Key("word_first_layer", None, "first block with modality prompts; not set: the first prompted one", kind=int,
        range=COUNT),
    Key("bind", None, "PromptIBind; not set: the preset's", kind=bool),
    Key("bind_length", 4, "bind prompts", range=COUNT),
    Key("interaction_layers", [], "blocks, counted from 1, after which modalities exchange; empty: one and two thirds"
        " of the prompted ones, 4 and 8 of 12", kind=int, range=COUNT),
    Key("bind_source", "semantic", "which prompts of the other modalities are read",
        choices=("semantic", "modality", "both")),
    Key("bind_keys", "others", "of which modalities: the others, or `all`", choices=CHOICES["bind_keys"]),
    Key("bind_direction", "gather", "bind prompts gather what they read, or are a `medium` that the prompts they read"
        " ask in turn", choices=CHOICES["bind_direction"]),
    Key("bind_residual", False, "an interaction adds to the bind prompts of the one before"),
    Key("bind_output", "tokens", "where the result goes: tokens of their own, the next `semantic` prompts, or the"
        " `class` token", choices=("tokens", "semantic", "class")),
    Key("alignment", None, "the contrastive loss against the modalities' sentences; not set: the preset's", kind=bool),
    Key("alignment_of", "modality", "what the sentences say: the modality, or the `identity` by learned words",
        choices=CHOICES["alignment_of"]),
    Key("alignment_on", "class", "what is compared with them: the class token's feature, or the output of the"
        " `modality_prompts`", choices=CHOICES["alignment_on"]),
    Key("alignment_symmetric", False, "contrast among the batch's images, too"),
    Key("context_words", 0, "learned words before each sentence, or of each identity; training then runs the text"
        " tower in every step", range=FROM_ZERO),
    Key("temperature", 0.01, "of that loss", range=POSITIVE),
    Key("prompt_std", 0.02, "standard deviation of the prompts' initialisation", range=POSITIVE),
    Key("prompt_init", "normal", "semantic prompts, and modality prompts without words, start as normal noise or as"
        " `patches` of training images", choices=CHOICES["prompt_init"]),
    Key("prompt_attention", "joint", "one softmax, or one `apart` for the prompts, by gates that start at zero",
        choices=CHOICES["prompt_attention"]),
    Key("prompt_gates", False, "a learned gate per block between what it makes of carried prompts and what they were"),
    Key("attention_temperature", False, "a learned temperature of the attention of each prompted block"),
    Key("adapter", None, "width of a bottleneck beside the MLP of each prompted block; 0: none; not set, as for the six"
        " keys that follow: the preset's, which is none but for `dmpt_plus`", kind=int, range=FROM_ZERO),
    Key("adapter_shared", None, "one for all modalities; off: one for each", kind=bool),
    Key("adapter_scale", None, "factor on what it adds; not set: 0.1", kind=float, range=POSITIVE),
    Key("exchange", None, "width of a bottleneck, in each prompted block, by which the images of a sample tell each"
        " other, beside the bind or without it; 0: none", kind=int, range=FROM_ZERO),
    Key("lora", None, "rank of changes of the queries' and values' projections in each prompted block; 0: none",
        kind=int, range=FROM_ZERO),
    Key("lora_alpha", None, "their factor is this over the rank; not set: 8", kind=float, range=POSITIVE),
    Key("fusion", None, "weights of each sample's own for the modalities' features; 1 at the start", kind=bool),
    Key("first_layer", 1, "first prompted block; those before it run without gradients", range=COUNT),
    Key("prompt_depth", None, "prompted blocks from there; not set: all", kind=int, range=COUNT),
    Key("classifier", "joint", "one on the modalities' joined features, or a `single` one for each",
        choices=("joint", "single")),
    Key("sie_weight", 0.0, "of a camera embedding on the class token; 0: none", range=FROM_ZERO),
    Key("after_bn", False, "descriptors from features after the BNNecks"),
    Key("frozen", True, "off: the whole tower is trained, the baseline"),
    Key("frozen_dtype", "float32", "what the frozen tower is kept as and computes in",
        choices=("float32", "bfloat16")),
    Key("prefix_cache", 0, "MiB for what the blocks before `dmpt.first_layer` compute of each image, so that it is"
        " computed once; 0: computed each time", range=FROM_ZERO, free=True),
)  # fmt: skip

RENAMED = {
    "dmpt.backbone": ("backbone.name", ""),
    "dmpt.weights": ("backbone.weights", ""),
    "dmpt.allow_download": ("backbone.allow_download", False),
    "dmpt.stride": ("backbone.stride", None),
}
"""Keys of release 0.1 by their names of today."""
