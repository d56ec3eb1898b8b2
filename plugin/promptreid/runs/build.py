"""From a configuration to the objects of a run."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.data import default_collate

from promptreid import host
from promptreid.config import dump_config
from promptreid.config.kwargs import (
    augmentation_kwargs,
    datamanager_kwargs,
    evaluation_kwargs,
    modal_datamanager_kwargs,
    selection_kwargs,
    step_kwargs,
    watch_kwargs,
)
from promptreid.data.augmentations import random_state_of
from promptreid.data.manager import ModalDataManager
from promptreid.data.transforms import Augmentation
from promptreid.engine.checkpoints.best_weights import SelectionOptions
from promptreid.engine.distributed.process_group import rank, world_size
from promptreid.engine.evaluation_options import EvaluationOptions
from promptreid.engine.optimizers import build_optimizer, build_scheduler, check_children
from promptreid.engine.run_watch import RunWatch
from promptreid.engine.train_engine import PromptEngine
from promptreid.engine.update_step import StepOptions
from promptreid.engine.watch_options import WatchOptions
from promptreid.losses.registry import TRAINABLE
from promptreid.methods.base import MODELS, NO_METHOD, DataFacts, Method, method_named
from promptreid.visual.rank_lists import draw_rank_lists, write_rank_lists

logger = logging.getLogger(__name__)


def build_datamanager(cfg: Any, use_gpu: bool = True, trained: Mapping[str, Any] | None = None) -> Any:
    """torchreid's ``ImageDataManager`` for ``cfg.data``, with what ours adds; this process's share under torchrun.

    Args:
        cfg: a tree from ``load_config``.
        use_gpu: whether memory is pinned.
        trained: what a checkpoint says of its training data; the sources are not read then, for nothing is trained.
    """
    return ModalDataManager(
        **datamanager_kwargs(cfg, use_gpu),
        **modal_datamanager_kwargs(cfg),
        augment=Augmentation(**augmentation_kwargs(cfg)),
        rank=rank(),
        world_size=world_size(),
        trained=trained,
    )


def build_model(cfg: Any, datamanager: Any, use_gpu: bool = True, *, weights_follow: bool = False) -> nn.Module:
    """The model of ``cfg.model``, through torchreid's own factory; a method's is bound to the rest of the tree first.

    Args:
        cfg: a tree from ``load_config``.
        datamanager: of the data that the model is for.
        use_gpu: torchreid's.
        weights_follow: a checkpoint is loaded next. Pretrained weights that it holds need not be found first; those of
            a frozen tower are in no checkpoint.

    Raises:
        ValueError, FileNotFoundError: settings or weights that cannot be used; the message starts with their node.
    """
    name, data = cfg.model.name, facts_of(cfg, datamanager)
    method = method_named(name)
    if host.is_torchreids_own("model", name) and data.images_per_sample > 1:
        raise ValueError(
            f"model.name {name} takes single images, and a sample of {list(cfg.data.sources)} has "
            f"{data.images_per_sample}: choose one of {', '.join(_several_images())}"
        )
    whole = method is None or method.checkpoint_is_whole(cfg)
    with nullcontext() if method is None else host.bound_model(name, _bound(method, cfg, data, weights_follow)):
        try:
            model: nn.Module = host.models.build_model(
                name=name,
                num_classes=datamanager.num_train_pids,
                loss=_output_for(cfg.loss.name, method),
                pretrained=cfg.model.pretrained and not (weights_follow and whole),
                use_gpu=use_gpu,
            )
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(f"{'model' if method is None else method.name}: {error}") from None
    if cfg.train.compile:
        compile_model(model)
    return model


def facts_of(cfg: Any, datamanager: Any) -> DataFacts:
    """What the training data decide about a model."""
    trained, size = getattr(datamanager, "trained", None), (cfg.data.height, cfg.data.width)
    if trained:
        return DataFacts(trained["cameras"], tuple(trained["modalities"]), trained["images_per_sample"], size)
    dataset = datamanager.train_loader.dataset
    return DataFacts(
        cameras=getattr(dataset, "num_cameras", 0) or datamanager.num_train_cams,
        modalities=tuple(getattr(dataset, "modalities", ("visible",))),
        images_per_sample=getattr(dataset, "images_per_sample", 1),
        image_size=size,
    )


def _bound(method: Method, cfg: Any, data: DataFacts, weights_follow: bool) -> partial[nn.Module]:
    """A method's builder with all that the configuration and the data decide."""
    return partial(method.models[cfg.model.name], **method.arguments(cfg, data, weights_follow))


def _several_images() -> list[str]:
    return sorted(name for name in MODELS if name.startswith("three_"))


def _output_for(loss: str, method: Method | None) -> str:
    """What a model is asked to return in training: a registered loss wants all that it has."""
    if loss in TRAINABLE:
        return "triplet" if method is None else "prompt"
    return loss


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


def start_from_data(model: nn.Module, cfg: Any, datamanager: Any) -> None:
    """Let a method give a model first values from its training data; see :meth:`Method.start`."""
    method = method_named(cfg.model.name)
    if method is not None:
        method.start(model, cfg, partial(training_samples, datamanager, cfg.train.seed))


def training_samples(datamanager: Any, seed: int, count: int) -> Any:
    """A batch of ``count`` training samples, or of all if there are fewer, drawn and augmented by ``seed``."""
    dataset = datamanager.train_loader.dataset
    with random_state_of(seed):
        chosen = torch.randperm(len(dataset))[:count].tolist()
        return default_collate([dataset[index]["img"] for index in chosen])


def checkpoint_blocks(model: Any) -> None:
    """Recompute the blocks' activations in the backward pass instead of keeping them (``train.checkpoint_blocks``).

    Raises:
        ValueError: a model that cannot.
    """
    if not hasattr(model, "checkpoint_blocks"):
        raise ValueError(f"train.checkpoint_blocks: {type(model).__name__} cannot recompute its blocks; set it False")
    model.checkpoint_blocks = True


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
    """The loss on a model's whole output; None where torchreid's own losses are asked for.

    Raises:
        ValueError: ``loss.name`` prompt for a model that gives no such output.
    """
    name = cfg.loss.name
    if name in TRAINABLE:
        return TRAINABLE[name](**cfg.loss.get(name, {}))
    if name != "prompt":
        return None
    method = method_named(cfg.model.name)
    if method is None:
        raise ValueError(
            f"loss.name prompt: {cfg.model.name} is a model of torchreid, which gives logits and features alone; "
            "choose softmax or triplet"
        )
    return method.criterion(cfg, model)


def build_engine(cfg: Any, datamanager: Any, model: nn.Module, use_gpu: bool = True) -> PromptEngine:
    """A ``PromptEngine`` with the optimiser and schedule of ``cfg.train``.

    Raises:
        ValueError: keys that contradict each other, or ask for what the model cannot.
    """
    if cfg.train.checkpoint_blocks:
        checkpoint_blocks(model)
    if cfg.train.fixbase_epoch:
        check_children(model, cfg.train.open_layers, "train.open_layers")
    (method_named(cfg.model.name) or NO_METHOD).prepare(model, cfg, use_gpu)
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
        watch=RunWatch(WatchOptions(**watch_kwargs(cfg)), draw_rank_lists),
        config=dump_config(cfg),
        allow_differences=cfg.test.allow_differences,
        margin=cfg.loss.triplet.margin,
        weight_t=cfg.loss.triplet.weight_t if cfg.loss.name == "triplet" else 0.0,
        weight_x=cfg.loss.triplet.weight_x if cfg.loss.name == "triplet" else 1.0,
        label_smooth=cfg.loss.softmax.label_smooth,
    )
