"""From a configuration to the objects of a run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn

from promptreid import host
from promptreid.config.kwargs import augmentation_kwargs, datamanager_kwargs, modal_datamanager_kwargs
from promptreid.data.manager import ModalDataManager
from promptreid.data.transforms import Augmentation
from promptreid.engine.optimisation import build_optimizer, build_scheduler
from promptreid.engine.prompt_engine import PromptEngine
from promptreid.losses.mip import MIPLoss
from promptreid.models.options import MIPOptions, mip_paper, mip_release
from promptreid.models.registry import MODELS

PRESETS = {"mip_paper": mip_paper, "mip_release": mip_release}


def build_datamanager(cfg: Any, use_gpu: bool = True) -> Any:
    """torchreid's ``ImageDataManager`` for ``cfg.data``, with what ours adds; this process's share under torchrun."""
    grouped = torch.distributed.is_available() and torch.distributed.is_initialized()
    return ModalDataManager(
        **datamanager_kwargs(cfg, use_gpu),
        **modal_datamanager_kwargs(cfg),
        augment=Augmentation(**augmentation_kwargs(cfg)),
        rank=torch.distributed.get_rank() if grouped else 0,
        world_size=torch.distributed.get_world_size() if grouped else 1,
    )


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
    }
    try:
        return PRESETS[mip.preset](**{name: value for name, value in given.items() if value is not None})
    except ValueError as error:
        raise ValueError(f"mip: {error}") from None


def build_model(cfg: Any, datamanager: Any, use_gpu: bool = True) -> nn.Module:
    """The model of ``cfg.model``, through torchreid's own factory; ours is bound to the rest of the tree first."""
    name = cfg.model.name
    with host.bound_model(name, _bound_builder(cfg, datamanager)) if name in MODELS else nullcontext():
        model: nn.Module = host.models.build_model(
            name=name,
            num_classes=datamanager.num_train_pids,
            loss=cfg.loss.name,
            pretrained=cfg.model.pretrained,
            use_gpu=use_gpu,
        )
    if cfg.train.compile:
        compile_model(model)
    return model


def compile_model(model: nn.Module, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile the forward pass in place (``train.compile``): names in the state dict stay as they are.

    Args:
        model: any module.
        backend: torch.compile's.

    Raises:
        ValueError: inductor without the C++ compiler that it needs.
    """
    compilers = (os.environ.get("CXX", "c++"), "g++", "clang++")
    if backend == "inductor" and not any(shutil.which(name) for name in compilers):
        raise ValueError("train.compile needs a C++ compiler: install g++, or set train.compile False")
    model.compile(backend=backend)


def _bound_builder(cfg: Any, datamanager: Any) -> partial[nn.Module]:
    dataset = datamanager.train_loader.dataset
    chosen = {name: value for name, value in cfg.mip.vit.items() if value is not None}
    settings: dict[str, Any] = {
        "cameras": getattr(dataset, "num_cameras", 0) or datamanager.num_train_cams,
        "modalities": getattr(dataset, "modalities", ("visible",)),
        "stride": cfg.mip.stride,
        "drop_path": cfg.mip.drop_path,
        "image_size": (cfg.data.height, cfg.data.width),
        "weights": cfg.mip.weights or None,
        "strict_pretrained": True,
        "allow_download": cfg.mip.allow_download,
        "vit": chosen,
    }
    if cfg.model.name.startswith("mip_"):
        settings["options"] = mip_options(cfg)
    if cfg.mip.backbone:
        settings["backbone"] = cfg.mip.backbone
    return partial(MODELS[cfg.model.name], **settings)


def build_criterion(cfg: Any, model: Any) -> nn.Module | None:
    """The loss on the ``PromptOutput`` of a model; None where torchreid's own losses are asked for."""
    if cfg.loss.name != "prompt":
        return None
    loss = cfg.loss.prompt
    return MIPLoss(
        identity_weight=loss.weight_x,
        triplet_weight=loss.weight_t,
        iael_weight=loss.weight_iael if model.options.iael else 0.0,
        msel_weight=loss.weight_msel if loss.use_msel else 0.0,
        msel_start_epoch=loss.msel_start_epoch,
        margin=loss.margin or None,
    )


def build_engine(cfg: Any, datamanager: Any, model: nn.Module, use_gpu: bool = True) -> PromptEngine:
    """A ``PromptEngine`` with the optimiser and schedule of ``cfg.train``."""
    optimizer = build_optimizer(model, cfg)
    return PromptEngine(
        datamanager,
        model,
        optimizer,
        criterion=build_criterion(cfg, model),
        scheduler=build_scheduler(optimizer, cfg),
        use_gpu=use_gpu,
        protocols=cfg.test.protocols,
        chance=cfg.test.chance,
        seed=cfg.train.seed,
        amp=cfg.train.amp,
        margin=cfg.loss.triplet.margin,
        weight_t=cfg.loss.triplet.weight_t if cfg.loss.name == "triplet" else 0.0,
        weight_x=cfg.loss.triplet.weight_x if cfg.loss.name == "triplet" else 1.0,
        label_smooth=cfg.loss.softmax.label_smooth,
    )
