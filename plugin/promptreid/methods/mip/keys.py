"""MIP's node of the configuration."""

from __future__ import annotations

from promptreid.config.schema import COUNT, FROM_ZERO, Key

KEYS = (
    Key("preset", "mip_paper", "the paper's choices, or those of the authors' released code",
        choices=("mip_paper", "mip_release")),
    Key("modality_prompts", True, "prompts chosen by modality (MPL); off for an ablation"),
    Key("instance_prompts", True, "prompts generated from the image (IPG); off for an ablation, then `mip.iael` must be"
        " off too"),
    Key("prompt_length", 16, "modality prompts per layer, and as many instance prompts", range=COUNT),
    Key("depth", None, "prompted blocks; not set: the preset's (paper: all before the head block, release: 10)",
        kind=int, range=COUNT),
    Key("query", "", "queries of the prompt generator; not set: the preset's (paper: learned, release: zero)",
        choices=("", "learned", "zero")),
    Key("query_lr_mult", None, "factor on `train.lr` for learned queries, 1 in the released code; not set:"
        " `train.lr_mult.generator`", kind=float, range=FROM_ZERO),
    Key("iael", None, "identity heads on the instance prompts; not set: the preset's (paper: on, release: off)",
        kind=bool),
    Key("iael_pooling", "", "the prompts' pooling before those heads; not set: the preset's",
        choices=("", "mean", "query", "flatten")),
    Key("sie_weight", 3.0, "of the camera embedding added to every token; 0 switches it off", range=FROM_ZERO),
    Key("jpm", True, "four local features beside the global one (TransReID's jigsaw patch module)"),
    Key("after_bn", False, "descriptors from features after the BNNecks"),
    Key("generator", "ipg", "where instance prompts come from: the paper's generator, or `bank`: 64 entries fused by"
        " softmax weights", choices=("ipg", "bank")),
    Key("instance_depth", None, "blocks, from the first, with instance prompts; not set: as many as `mip.depth`",
        kind=int, range=COUNT),
    Key("naive_prompts", False, "one set of modality prompts for all modalities"),
    Key("modality_embedding", False, "instead of modality prompts, which must be off, a vector per modality added to"
        " every token"),
    Key("prompt_adapters", False, "a residual adapter (bottleneck of 64) on the prompts of each layer"),
    Key("modality_bn", False, "a BNNeck per modality"),
    Key("frozen", False, "freeze the tower: its embedding and the blocks before the heads'; prompts, generator and"
        " heads are trained"),
    Key("frozen_heads", False, "freeze the heads' copies of the tower's last block, too", needs="frozen"),
)  # fmt: skip

_MOVED = ("backbone", "weights", "allow_download", "stride", "drop_path", "vit.depth", "vit.embed_dim", "vit.num_heads",
          "vit.patch_size")  # fmt: skip
_THEN = {"backbone": "", "weights": "", "allow_download": False, "stride": 12, "drop_path": 0.1}
RENAMED = {
    f"mip.{name}": ("backbone.name" if name == "backbone" else f"backbone.{name}", _THEN.get(name)) for name in _MOVED
}
"""Keys of release 0.1, which configured the baselines too, by their names of today."""
