"""DMPT's node of the configuration."""

from __future__ import annotations

from promptreid.config.schema import COUNT, FROM_ZERO, POSITIVE, Key

KEYS = (
    Key("preset", "dmpt", "the whole method, or a step of the paper's ablation",
        choices=("dmpt", "dmpt_s_bind_m", "dmpt_s_bind", "dmpt_s")),
    Key("object", "person", "what the sentences say is in the photos, `vehicle` for instance"),
    Key("semantic", True, "semantic prompts; off for an ablation"),
    Key("semantic_length", 8, "semantic prompts per block", range=COUNT),
    Key("deep", True, "a set of semantic prompts for each block; off: one, put in at the first and carried"),
    Key("words", None, "modality prompts from words; not set: the preset's", kind=bool),
    Key("word_length", 4, "modality prompts", range=COUNT),
    Key("word_source", "states", "what of the text tower they come from; `learned`: no text at all",
        choices=("states", "embeddings", "sentence", "learned")),
    Key("word_mapping", "mlp", "from there to the image tower's width", choices=("mlp", "linear")),
    Key("bind", None, "PromptIBind; not set: the preset's", kind=bool),
    Key("bind_length", 4, "bind prompts", range=COUNT),
    Key("interaction_layers", [], "blocks, counted from 1, after which modalities exchange; empty: one and two thirds"
        " of the prompted ones, 4 and 8 of 12", kind=int, range=COUNT),
    Key("bind_source", "semantic", "which prompts of the other modalities are read",
        choices=("semantic", "modality", "both")),
    Key("bind_output", "tokens", "where the result goes: tokens of their own, the next `semantic` prompts, or the"
        " `class` token", choices=("tokens", "semantic", "class")),
    Key("alignment", None, "the contrastive loss against the modalities' sentences; not set: the preset's", kind=bool),
    Key("context_words", 0, "learned words before each sentence; training then runs the text tower in every step",
        range=FROM_ZERO),
    Key("temperature", 0.01, "of that loss", range=POSITIVE),
    Key("prompt_std", 0.02, "standard deviation of the prompts' initialisation", range=POSITIVE),
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
