"""From a configuration to the arguments of a model's builder."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from promptreid import host
from promptreid.methods.baselines.torchreid_backbones import HOST_MODELS
from promptreid.methods.dmpt.options import DMPTOptions, dmpt, dmpt_s, dmpt_s_bind, dmpt_s_bind_m
from promptreid.methods.mip.options import MIPOptions, mip_paper, mip_release
from promptreid.models.registry import MODELS

MIP_PRESETS = {"mip_paper": mip_paper, "mip_release": mip_release}
DMPT_PRESETS = {"dmpt_s": dmpt_s, "dmpt_s_bind": dmpt_s_bind, "dmpt_s_bind_m": dmpt_s_bind_m, "dmpt": dmpt}
DMPT_OPTIONS = tuple(name for name in DMPTOptions.__dataclass_fields__)
"""Keys of ``dmpt`` that are options of the model by the same name; one that is not set is the preset's."""


def bound_builder(cfg: Any, datamanager: Any, weights_follow: bool = False) -> partial[nn.Module]:
    """The builder of ``cfg.model.name``, one of ours, with all that the configuration and the data decide.

    Args:
        cfg: a tree from ``load_config``.
        datamanager: of the data that the model is for.
        weights_follow: a checkpoint is loaded next, so that no text tower is needed for what it holds.
    """
    if cfg.model.name in HOST_MODELS:
        return partial(HOST_MODELS[cfg.model.name], strict_pretrained=True)
    dataset = datamanager.train_loader.dataset
    settings: dict[str, Any] = {
        "cameras": getattr(dataset, "num_cameras", 0) or datamanager.num_train_cams,
        "modalities": getattr(dataset, "modalities", ("visible",)),
        "images_per_sample": getattr(dataset, "images_per_sample", 1),
        "image_size": (cfg.data.height, cfg.data.width),
        "strict_pretrained": True,
    }
    own = _of_dmpt(cfg, weights_follow) if is_dmpt(cfg.model.name) else _of_mip(cfg)
    return partial(MODELS[cfg.model.name], **settings, **own)


def is_dmpt(name: str) -> bool:
    """Whether a model of ours is a DMPT; the others are built of MIP's parts."""
    return name.startswith("dmpt_")


def node_of(name: str) -> str:
    """The node of the configuration that a model's own settings are in."""
    if name in MODELS:
        return "dmpt" if is_dmpt(name) else "mip"
    return "model"


def is_in_checkpoint(cfg: Any) -> bool:
    """Whether a checkpoint of ``cfg.model`` holds all of its weights: one of ours, without a frozen tower."""
    return host.is_ours("model", cfg.model.name) and not (is_dmpt(cfg.model.name) and cfg.dmpt.frozen)


def mip_options(cfg: Any) -> MIPOptions:
    """The options of ``cfg.mip``: those of its preset, with the keys that are set replacing the preset's.

    Raises:
        ValueError: keys that contradict each other.
    """
    mip = cfg.mip
    given = {
        "modality_prompts": mip.modality_prompts,
        "instance_prompts": mip.instance_prompts,
        "prompt_length": mip.prompt_length,
        "prompt_depth": mip.depth,
        "queries": mip.query or None,
        "iael": mip.iael,
        "iael_pooling": mip.iael_pooling or None,
        "jpm": mip.jpm,
        "sie": "camera" if mip.sie_weight else "none",
        "sie_weight": mip.sie_weight or None,
        "generator": mip.generator,
        "instance_depth": mip.instance_depth,
        "naive_prompts": mip.naive_prompts,
        "modality_embedding": mip.modality_embedding,
        "prompt_adapters": mip.prompt_adapters,
        "modality_bn": mip.modality_bn,
        "after_bn": mip.after_bn,
    }
    try:
        return MIP_PRESETS[mip.preset](**{name: value for name, value in given.items() if value is not None})
    except ValueError as error:
        raise ValueError(f"mip: {error}") from None


def dmpt_options(cfg: Any) -> DMPTOptions:
    """The options of ``cfg.dmpt``: those of its preset, with the keys that are set replacing the preset's.

    Raises:
        ValueError: keys that contradict each other.
    """
    given = {name: cfg.dmpt[name] for name in DMPT_OPTIONS}
    given["interaction_layers"] = tuple(given["interaction_layers"]) or None
    try:
        return DMPT_PRESETS[cfg.dmpt.preset](**{name: value for name, value in given.items() if value is not None})
    except ValueError as error:
        raise ValueError(f"dmpt: {error}") from None


def _of_baseline(cfg: Any) -> MIPOptions:
    """The options of a model that MIP is compared with: its own, and where its descriptors are taken."""
    builder: Any = MODELS[cfg.model.name]
    options: MIPOptions = builder.keywords["options"]
    return replace(options, after_bn=cfg.mip.after_bn)


def _of_mip(cfg: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "stride": cfg.mip.stride,
        "drop_path": cfg.mip.drop_path,
        "weights": cfg.mip.weights or None,
        "allow_download": cfg.mip.allow_download,
        "vit": {name: value for name, value in cfg.mip.vit.items() if value is not None},
    }
    settings["options"] = mip_options(cfg) if cfg.model.name.startswith("mip_") else _of_baseline(cfg)
    if cfg.mip.backbone:
        settings["backbone"] = cfg.mip.backbone
    return settings


def _of_dmpt(cfg: Any, weights_follow: bool) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "options": dmpt_options(cfg),
        "stride": cfg.dmpt.stride,
        "object_name": cfg.dmpt.object,
        "weights": cfg.dmpt.weights or None,
        "allow_download": cfg.dmpt.allow_download,
        "text_from_state": weights_follow and not cfg.dmpt.context_words,
    }
    if cfg.dmpt.backbone:
        settings["backbone"] = cfg.dmpt.backbone
    return settings
