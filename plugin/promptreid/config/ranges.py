"""What each key may hold by itself: names from a closed list, numbers from an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

_SAMPLERS = (
    "RandomIdentitySampler",
    "SequentialSampler",
    "RandomSampler",
    "RandomDomainSampler",
    "RandomDatasetSampler",
)

# promptreid.data.transforms has the same names; a test compares the two.
_AUGMENTATIONS = (
    "resize",
    "random_flip",
    "pad_crop",
    "jitter",
    "blur",
    "jitter_or_blur",
    "random_grey",
    "channel_exchange",
    "channel_grey",
    "normalize",
    "pixel_erase",
    "channel_erase",
    "caj_exchange",
    "caj_grey",
    "caj_erase",
)

CHOICES: dict[str, tuple[str, ...]] = {
    "data.type": ("image", "video"),
    # torchreid skips a name it doesn't know, and trains without that augmentation.
    "data.transforms": ("random_flip", "random_crop", "random_patch", "color_jitter", "random_erase"),
    "data.augment.visible": _AUGMENTATIONS,
    "data.augment.infrared": _AUGMENTATIONS,
    "data.augment.near_infrared": _AUGMENTATIONS,
    "data.augment.thermal_infrared": _AUGMENTATIONS,
    "data.augment.second_exchange": ("channel_exchange", "caj_exchange"),
    "data.augment.interpolation": ("bilinear", "bicubic", "lanczos"),
    "data.incomplete": ("skip", "keep"),
    "data.decoder": ("pillow", "simplejpeg"),
    "data.range_16bit": ("full", "minmax", "fixed"),
    "sampler.train_sampler": (*_SAMPLERS, "CrossModalSampler", "IdentitySampler"),
    "sampler.train_sampler_t": _SAMPLERS,
    "video.sample_method": ("evenly", "random", "all"),
    "video.pooling_method": ("avg", "max"),
    "train.optim": ("adam", "amsgrad", "sgd", "rmsprop", "radam", "adamw"),
    "train.lr_scheduler": ("single_step", "multi_step", "cosine", "warmup_cosine", "mip_cosine"),
    "train.amp_dtype": ("bfloat16", "float16"),
    "loss.name": ("softmax", "triplet", "prompt"),
    "test.select": ("last", "dev", "test"),
    "test.select_metric": ("mAP", "rank1"),
    "test.dist_metric": ("euclidean", "cosine"),
    "dmpt.preset": ("dmpt", "dmpt_s_bind_m", "dmpt_s_bind", "dmpt_s"),
    "dmpt.word_source": ("states", "embeddings", "sentence", "learned"),
    "dmpt.word_mapping": ("mlp", "linear"),
    "dmpt.bind_source": ("semantic", "modality", "both"),
    "dmpt.bind_output": ("tokens", "semantic", "class"),
    "dmpt.classifier": ("joint", "single"),
    "dmpt.frozen_dtype": ("float32", "bfloat16"),
    "mip.preset": ("mip_paper", "mip_release"),
    "mip.query": ("", "learned", "zero"),
    "mip.iael_pooling": ("", "mean", "query", "flatten"),
    "mip.generator": ("ipg", "bank"),
}
"""Every name a key may have; for a list, each of its entries."""


@dataclass(frozen=True)
class Range:
    """Finite numbers from ``low`` to ``high``; ``open_low`` and ``open_high`` exclude the ends themselves."""

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return math.isfinite(value) and above and below

    def __str__(self) -> str:
        text = f"above {self.low}" if self.open_low else f"at least {self.low}"
        if math.isfinite(self.high):
            text += f" and {'below' if self.open_high else 'at most'} {self.high}"
        return text


_COUNT = Range(1)
_FROM_ZERO = Range(0)
_POSITIVE = Range(0, open_low=True)
_SHARE = Range(0, 1, open_high=True)
_DECAY = Range(0, 1, open_low=True)
_GROUPS: dict[Range, str] = {
    _COUNT: """
        data.height data.width data.k_tfm data.synthetic.ids data.synthetic.frames data.synthetic.size
        sampler.num_instances sampler.num_cams sampler.num_datasets video.seq_len
        train.max_epoch train.accumulation train.batch_size train.stepsize train.print_freq train.cosine.cycle
        loss.prompt.msel_start_epoch test.batch_size test.ranks test.visrank_topk
        dmpt.stride dmpt.semantic_length dmpt.word_length dmpt.bind_length dmpt.interaction_layers dmpt.first_layer
        dmpt.prompt_depth
        mip.prompt_length mip.stride mip.depth mip.instance_depth
        mip.vit.depth mip.vit.embed_dim mip.vit.num_heads mip.vit.patch_size
    """,
    _FROM_ZERO: """
        data.workers data.split_id data.synthetic.seed train.weight_decay train.start_epoch train.fixbase_epoch
        train.base_lr_mult train.warmup_epochs train.warmup_lr train.cosine.min_lr train.seed train.clip_norm
        train.checkpoint_steps train.patience
        train.lr_mult.prompts train.lr_mult.generator train.lr_mult.bias test.start_eval
        loss.triplet.margin loss.triplet.weight_t loss.triplet.weight_x
        loss.prompt.margin loss.prompt.weight_t loss.prompt.weight_x loss.prompt.weight_iael loss.prompt.weight_msel
        loss.prompt.weight_alignment mip.sie_weight dmpt.sie_weight dmpt.context_words dmpt.prefix_cache
    """,
    _POSITIVE: "data.norm_std train.lr train.distributed_timeout dmpt.temperature dmpt.prompt_std",
    _SHARE: """
        data.augment.drop_modality train.ema sgd.momentum rmsprop.alpha adam.beta1 adam.beta2 mip.drop_path
        loss.prompt.label_smoothing
    """,
    _DECAY: "train.gamma train.cosine.decay",
    Range(0, 1): "sgd.dampening",
    Range(0, 65535): "data.limits_16bit",
    Range(-1): "test.eval_freq",
}

RANGES: dict[str, Range] = {key: allowed for allowed, keys in _GROUPS.items() for key in keys.split()}
"""The interval of each number; for a list, of each of its entries."""
