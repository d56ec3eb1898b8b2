"""From a configuration to the objects of a run."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from torch import nn

from promptreid import host
from promptreid.config import dump_config
from promptreid.config.kwargs import (
    augmentation_kwargs,
    datamanager_kwargs,
    evaluation_kwargs,
    modal_datamanager_kwargs,
    selection_kwargs,
    step_kwargs,
)
from promptreid.data.manager import ModalDataManager
from promptreid.data.transforms import Augmentation
from promptreid.engine.checkpoints.best_weights import SelectionOptions
from promptreid.engine.distributed.process_group import rank, world_size
from promptreid.engine.evaluation_options import EvaluationOptions
from promptreid.engine.model_settings import bound_builder, is_dmpt, is_in_checkpoint, node_of
from promptreid.engine.optimizers import build_optimizer, build_scheduler
from promptreid.engine.train_engine import PromptEngine
from promptreid.engine.update_step import StepOptions
from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.methods.dmpt.prefix_cache import PrefixCache
from promptreid.methods.mip.loss import MIPLoss
from promptreid.visual.rank_lists import write_rank_lists

logger = logging.getLogger(__name__)

_FEW_VERSIONS = frozenset({"resize", "normalize", "random_flip"})
"""Augmentations after which a training image often has the bytes that it had before."""


def build_datamanager(cfg: Any, use_gpu: bool = True) -> Any:
    """torchreid's ``ImageDataManager`` for ``cfg.data``, with what ours adds; this process's share under torchrun."""
    return ModalDataManager(
        **datamanager_kwargs(cfg, use_gpu),
        **modal_datamanager_kwargs(cfg),
        augment=Augmentation(**augmentation_kwargs(cfg)),
        rank=rank(),
        world_size=world_size(),
    )


def build_model(cfg: Any, datamanager: Any, use_gpu: bool = True, *, weights_follow: bool = False) -> nn.Module:
    """The model of ``cfg.model``, through torchreid's own factory; ours is bound to the rest of the tree first.

    Args:
        cfg: a tree from ``load_config``.
        datamanager: of the data that the model is for.
        use_gpu: torchreid's.
        weights_follow: a checkpoint is loaded next. Pretrained weights that it holds need not be found first; those of
            a frozen tower are in no checkpoint.

    Raises:
        ValueError, FileNotFoundError: settings or weights that cannot be used; the message starts with their node.
    """
    name = cfg.model.name
    ours = host.is_ours("model", name)
    with host.bound_model(name, bound_builder(cfg, datamanager, weights_follow)) if ours else nullcontext():
        try:
            model: nn.Module = host.models.build_model(
                name=name,
                num_classes=datamanager.num_train_pids,
                loss=cfg.loss.name,
                pretrained=cfg.model.pretrained and not (weights_follow and is_in_checkpoint(cfg)),
                use_gpu=use_gpu,
            )
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(f"{node_of(name)}: {error}") from None
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


def checkpoint_blocks(model: Any) -> None:
    """Recompute the blocks' activations in the backward pass instead of keeping them (``train.checkpoint_blocks``).

    Raises:
        ValueError: a model that cannot.
    """
    if not hasattr(model, "checkpoint_blocks"):
        raise ValueError(f"train.checkpoint_blocks: {type(model).__name__} cannot recompute its blocks; set it False")
    model.checkpoint_blocks = True


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
    return used | ({"second_visible"} if augment.second_visible else set())


def synchronise_batch_norm(model: nn.Module, use_gpu: bool) -> nn.Module:
    """Let batch normalisations use the statistics of all processes' images (``train.sync_bn``).

    Raises:
        ValueError: there is no GPU, which torch's ``SyncBatchNorm`` needs.
    """
    if not use_gpu:
        raise ValueError("train.sync_bn needs GPUs: set it False, and each process normalises its own images")
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return converted


def build_criterion(cfg: Any, model: Any) -> nn.Module | None:
    """The loss on the ``PromptOutput`` of a model; None where torchreid's own losses are asked for.

    Raises:
        ValueError: MSEL for samples of several images.
    """
    if cfg.loss.name != "prompt":
        return None
    loss = cfg.loss.prompt
    if is_dmpt(cfg.model.name):
        return DMPTLoss(
            identity_weight=loss.weight_x,
            triplet_weight=loss.weight_t,
            alignment_weight=loss.weight_alignment if model.options.alignment else 0.0,
            label_smoothing=loss.label_smoothing,
            margin=loss.margin or None,
        )
    if loss.use_msel and model.images_per_sample > 1:
        raise ValueError(
            "loss.prompt.use_msel: MSEL pulls samples of different modalities together, and here each sample has all "
            "of them; set it False"
        )
    return MIPLoss(
        identity_weight=loss.weight_x,
        triplet_weight=loss.weight_t,
        iael_weight=loss.weight_iael if model.options.iael else 0.0,
        msel_weight=loss.weight_msel if loss.use_msel else 0.0,
        msel_start_epoch=loss.msel_start_epoch,
        margin=loss.margin or None,
        label_smoothing=loss.label_smoothing,
    )


def build_engine(cfg: Any, datamanager: Any, model: nn.Module, use_gpu: bool = True) -> PromptEngine:
    """A ``PromptEngine`` with the optimiser and schedule of ``cfg.train``.

    Raises:
        ValueError: keys that contradict each other, or ask for what the model cannot.
    """
    if cfg.train.checkpoint_blocks:
        checkpoint_blocks(model)
    if cfg.dmpt.prefix_cache:
        cache_prefix(model, cfg, use_gpu)
    if cfg.train.sync_bn:
        model = synchronise_batch_norm(model, use_gpu)
    optimizer = build_optimizer(model, cfg)
    return PromptEngine(
        datamanager,
        model,
        optimizer,
        criterion=build_criterion(cfg, model),
        loss=cfg.loss.name,
        scheduler=build_scheduler(optimizer, cfg),
        use_gpu=use_gpu,
        protocols=cfg.test.protocols,
        chance=cfg.test.chance,
        seed=cfg.train.seed,
        steps=StepOptions(**step_kwargs(cfg)),
        selection=SelectionOptions(**selection_kwargs(cfg)),
        evaluation=EvaluationOptions(**evaluation_kwargs(cfg)),
        draw=write_rank_lists,
        config=dump_config(cfg),
        margin=cfg.loss.triplet.margin,
        weight_t=cfg.loss.triplet.weight_t if cfg.loss.name == "triplet" else 0.0,
        weight_x=cfg.loss.triplet.weight_x if cfg.loss.name == "triplet" else 1.0,
        label_smooth=cfg.loss.softmax.label_smooth,
    )
