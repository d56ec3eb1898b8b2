"""DMPT as a method: from its node of the configuration to a model and its loss."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.config.schema import Flat
from promptreid.methods.base import DataFacts, Method
from promptreid.methods.dmpt.build import build_dmpt
from promptreid.methods.dmpt.diagnostics import diagnose
from promptreid.methods.dmpt.keys import KEYS, RENAMED
from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.methods.dmpt.model import DMPT
from promptreid.methods.dmpt.options import DMPTOptions, dmpt, dmpt_plus, dmpt_s, dmpt_s_bind, dmpt_s_bind_m
from promptreid.methods.dmpt.patch_init import start_from_patches
from promptreid.methods.dmpt.prefix_cache import PrefixCache

logger = logging.getLogger(__name__)

CAMERAS = 16  # room for the largest of the usual sets, where nothing but a name is known of the data
# CLIP's architecture, small enough for a quickstart: nobody has trained such a tower, so it is random.
CLIP_TINY = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 128, "layers": 4, "width": 96, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 48, "heads": 3, "layers": 2},
}
PRESETS = {
    "dmpt_s": dmpt_s,
    "dmpt_s_bind": dmpt_s_bind,
    "dmpt_s_bind_m": dmpt_s_bind_m,
    "dmpt": dmpt,
    "dmpt_plus": dmpt_plus,
}
_FEW_VERSIONS = frozenset({"resize", "normalize", "random_flip"})
"""Augmentations after which a training image often has the bytes that it had before."""


class DMPTMethod(Method):
    """DMPT, and what its tower, prompts and loss need to know of a configuration."""

    name = "dmpt"
    title = "DMPT"
    keys = KEYS
    reads = ("backbone.name", "backbone.weights", "backbone.allow_download", "backbone.stride")
    renamed = RENAMED
    #: They take samples of three images unless they are told otherwise.
    models = {
        "dmpt_clip_tiny": partial(build_dmpt, tower=CLIP_TINY, cameras=CAMERAS, strict_pretrained=False),
        "dmpt_vit_base_patch16": partial(build_dmpt, cameras=CAMERAS),
    }
    model_types = (DMPT,)
    losses = {"dmpt": DMPTLoss}

    def arguments(self, cfg: Any, data: DataFacts, weights_follow: bool) -> dict[str, Any]:
        """See the base class."""
        backbone = cfg.backbone
        arguments: dict[str, Any] = {
            **vars(data),
            "strict_pretrained": True,
            "options": dmpt_options(cfg),
            "stride": backbone.stride,
            "object_name": cfg.dmpt.object,
            "weights": backbone.weights or None,
            "allow_download": backbone.allow_download,
            "text_from_state": weights_follow and not cfg.dmpt.context_words,
        }
        return {**arguments, "backbone": backbone.name} if backbone.name else arguments

    def criterion(self, cfg: Any, model: Any) -> nn.Module:
        """See the base class."""
        loss = cfg.loss.prompt
        return DMPTLoss(
            identity_weight=loss.weight_x,
            triplet_weight=loss.weight_t,
            alignment_weight=loss.weight_alignment if model.options.alignment else 0.0,
            label_smoothing=loss.label_smoothing,
            margin=loss.margin or None,
            alignment_of=model.options.alignment_of,
            alignment_symmetric=model.options.alignment_symmetric,
        )

    def contradictions(self, flat: Flat) -> Iterator[str]:
        """See the base class."""
        for key, useless, why in (
            ("dmpt.first_layer", flat["dmpt.first_layer"] == 1, "no block is before the first prompt: raise it"),
            ("dmpt.sie_weight", flat["dmpt.sie_weight"], "a trained camera embedding enters before all blocks: set it"
             " 0"),
            ("dmpt.frozen", not flat["dmpt.frozen"], "what a trained tower computes can't be kept: set it True"),
            ("train.compile", flat["train.compile"], "a compiled model can't look anything up: set it False"),
        ):  # fmt: skip
            if flat["dmpt.prefix_cache"] and useless:
                yield f"dmpt.prefix_cache has no use with {key} {flat[key]}: {why}, or dmpt.prefix_cache 0"

    def checkpoint_is_whole(self, cfg: Any) -> bool:
        """The frozen tower is in no checkpoint."""
        return not cfg.dmpt.frozen

    def prepare(self, model: Any, cfg: Any, use_gpu: bool) -> None:
        """See the base class."""
        if cfg.dmpt.prefix_cache:
            cache_prefix(model, cfg, use_gpu)

    @torch.no_grad()
    def prompts(self, model: Any) -> Mapping[str, Mapping[str, Tensor]]:
        """Modality prompts by modality, semantic prompts by the block that they enter, and the bind prompts."""
        found: dict[str, dict[str, Tensor]] = {}
        if model.word_prompts is not None:
            ids = torch.arange(len(model.modalities), device=next(model.parameters()).device)
            found["modality"] = dict(zip(model.modalities, model.word_prompts(ids), strict=True))
        if model.semantic_prompts is not None:
            sets = enumerate(model.semantic_prompts.prompts, start=model.plan.first)
            found["semantic"] = {str(layer): vectors for layer, vectors in sets}
        if model.bind is not None:
            found["bind"] = {"all": model.bind.prompts}
        return found

    def start(self, model: Any, cfg: Any, samples: Callable[[int], Any]) -> None:
        """See the base class: prompts may start as patch tokens."""
        if cfg.dmpt.prompt_init == "patches":
            start_from_patches(model, samples(cfg.train.batch_size), cfg.train.seed)

    def every_step_uses_all(self, model: Any, criterion: Any) -> bool:
        """It is certain where all parts of the loss count, but for two cases.

        The exchange between modalities learns nothing where samples are single images, nor do the BNNeck and classifier
        of a modality from a batch without images of it. Gates of carried prompts may have none to act on.
        """
        if not isinstance(criterion, DMPTLoss):
            return False
        parts = ("identity", "triplet", *(["alignment"] if model.alignment is not None else []))
        apart = model.options.classifier == "single" or (model.bind is not None and model.images_per_sample == 1)
        return not apart and model.carry_gates is None and all(criterion.weights[name] > 0 for name in parts)

    def diagnose(self, model: Any, batches: Sequence[Any]) -> Any:
        """See the base class."""
        return diagnose(model, batches)


def dmpt_options(cfg: Any) -> DMPTOptions:
    """The options of ``cfg.dmpt``: those of its preset, with the keys that are set replacing the preset's.

    Raises:
        ValueError: keys that contradict each other.
    """
    given = {name: cfg.dmpt[name] for name in DMPTOptions.__dataclass_fields__}
    given["interaction_layers"] = tuple(given["interaction_layers"]) or None
    try:
        return PRESETS[cfg.dmpt.preset](**{name: value for name, value in given.items() if value is not None})
    except ValueError as error:
        raise ValueError(f"dmpt: {error}") from None


def cache_prefix(model: Any, cfg: Any, use_gpu: bool = True) -> None:
    """Keep what a tower's blocks before the first prompt compute of each image (``dmpt.prefix_cache``).

    Where a resumed run has to end with the same bits, each image is computed on its own: on the CPU, and with
    ``train.deterministic``. Training images that augmentation makes anew each time are neither kept nor looked up.

    Args:
        model: a DMPT.
        cfg: a tree from ``load_config``.
        use_gpu: whether it runs on one.

    Raises:
        ValueError: a model without such blocks.
    """
    if not getattr(model, "frozen_prefix", 0):
        raise ValueError(
            f"dmpt.prefix_cache: no block of this {type(model).__name__} computes what depends on the image alone; use "
            "a DMPT with dmpt.frozen True, dmpt.sie_weight 0 and dmpt.first_layer above 1, or set dmpt.prefix_cache 0"
        )
    used = _augmentations(cfg)
    drawn = sorted(used - _FEW_VERSIONS)
    if drawn:
        logger.warning(
            "dmpt.prefix_cache: after %s training images hardly ever repeat; only tests use the cache", ", ".join(drawn)
        )
    elif "random_flip" in used:
        logger.info("dmpt.prefix_cache: random_flip makes two versions of each training image, kept apart")
    one_by_one = cfg.train.deterministic or not use_gpu
    model.prefix_cache = PrefixCache(cfg.dmpt.prefix_cache * 2**20, one_by_one, in_training=not drawn)


def _augmentations(cfg: Any) -> set[str]:
    """The names of all that training images go through, whatever their modality."""
    augment, plain = cfg.data.augment, cfg.data.transforms
    infrared = augment.infrared or plain
    used = {*(augment.visible or plain), *infrared, *augment.near_infrared, *augment.thermal_infrared}
    used |= {"second_visible"} if augment.second_visible else set()
    return used | ({"amplitude_swap"} if augment.amplitude_swap else set())
