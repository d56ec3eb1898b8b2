"""Optimisers and schedules from the configuration: torchreid's own, and those with per-group rates and warm-up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from promptreid import host
from promptreid.config import lr_scheduler_kwargs, optimizer_kwargs
from promptreid.engine.schedules import WarmupCosineRestarts
from promptreid.methods.base import NO_METHOD, method_named

BASE, BIAS, PROMPTS, GENERATOR = "base", "bias", "prompts", "generator"
_ORDER = (BASE, BIAS, PROMPTS, GENERATOR)


def parameter_roles(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, str]]:
    """Each parameter with the role that decides its learning rate.

    A module names the roles of its own parameters in ``learning_rate_roles``: by the parameter's name, or under ``""``
    for all that it holds. A part of a role, ``generator.queries``, may have a factor of its own, and else has that
    of the whole. Every other bias has the role ``bias``, the rest ``base``. Learned prompt vectors are ``prompts``;
    what makes prompts of something else (a projection, a mapping) counts as base. What stands beside the layers of a
    frozen tower is ``adapters``.
    """
    named: dict[int, str] = {}
    for module in model.modules():
        for name, role in getattr(module, "learning_rate_roles", {}).items():
            owned = module.parameters() if not name else [getattr(module, name)]
            named.update({id(parameter): role for parameter in owned if parameter is not None})
    for name, parameter in model.named_parameters():
        yield name, parameter, named.get(id(parameter), BIAS if name.endswith("bias") else BASE)


def prompt_families(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The parameters of each kind of prompt, by its name.

    These are the roles that modules name, and the modules that name a family themselves, by an attribute
    ``prompt_family`` that is a string.
    """
    families: dict[str, list[nn.Parameter]] = defaultdict(list)
    for _, parameter, role in parameter_roles(model):
        if role not in (BASE, BIAS):
            families[role.partition(".")[0]].append(parameter)
    for module in model.modules():
        family = getattr(module, "prompt_family", None)
        if isinstance(family, str):
            families[family] += module.parameters()
    return dict(families)


def parameter_groups(
    model: nn.Module,
    lr: float,
    multipliers: Mapping[str, float],
    new_layers: Collection[str] | None = None,
    base_lr_mult: float = 1.0,
) -> list[dict[str, Any]]:
    """Parameter groups for a torch optimiser, one per role, each with its rate and its name.

    With ``new_layers`` a role has two groups at most, the one for the new layers called ``new`` and its name.

    Args:
        model: any model; one without prompts has the groups ``bias`` and ``base``.
        lr: the base rate.
        multipliers: factor per role; 1 where a role is missing.
        new_layers: children of the model, as in torchreid's ``train.new_layers``; all others are base layers.
        base_lr_mult: another factor for base layers.

    Raises:
        ValueError: the model has no such child.
    """
    check_children(model, new_layers or (), "train.new_layers")
    groups: dict[tuple[bool, str], list[nn.Parameter]] = defaultdict(list)
    for name, parameter, part in parameter_roles(model):
        role = part if part in multipliers else part.partition(".")[0]
        groups[new_layers is not None and name.partition(".")[0] in new_layers, role].append(parameter)
    # torchreid reports the last group's rate as "the" learning rate: let it be the base rate.
    order = sorted(groups, key=lambda key: (key[0], _rank(key[1]), key[1]), reverse=True)
    return [
        {
            "params": groups[new, role],
            "lr": lr * multipliers.get(role, 1.0) * (1.0 if new or new_layers is None else base_lr_mult),
            "name": f"new {role}" if new else role,
        }
        for new, role in order
    ]


def check_children(model: nn.Module, names: Collection[str], key: str) -> None:
    """Raise ``ValueError`` if the model lacks one of these children, which the configuration names under ``key``."""
    children = dict(model.named_children())
    unknown = sorted(set(names) - set(children))
    if unknown:
        raise ValueError(f"{key}: the model has no {', '.join(unknown)}, but {', '.join(children)}")


def _rank(role: str) -> int:
    return _ORDER.index(role) if role in _ORDER else len(_ORDER)


def build_optimizer(model: nn.Module, cfg: Any) -> torch.optim.Optimizer:
    """The optimiser of ``cfg.train``: torchreid's for its own models, one with per-role rates for those of a method."""
    method = method_named(cfg.model.name)
    if method is None and cfg.train.optim != "adamw":
        return host.optim.build_optimizer(model, **optimizer_kwargs(cfg))
    multipliers = NO_METHOD.learning_rates(cfg) if method is None else method.learning_rates(cfg)
    staged = {"new_layers": cfg.train.new_layers, "base_lr_mult": cfg.train.base_lr_mult} if cfg.train.staged_lr else {}
    groups = parameter_groups(model, cfg.train.lr, multipliers, **staged)
    decay, betas = cfg.train.weight_decay, (cfg.adam.beta1, cfg.adam.beta2)
    if cfg.train.optim == "sgd":
        return torch.optim.SGD(
            groups,
            momentum=cfg.sgd.momentum,
            dampening=cfg.sgd.dampening,
            nesterov=cfg.sgd.nesterov,
            weight_decay=decay,
        )
    if cfg.train.optim == "rmsprop":
        return torch.optim.RMSprop(groups, alpha=cfg.rmsprop.alpha, momentum=cfg.sgd.momentum, weight_decay=decay)
    kinds: dict[str, Any] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "radam": torch.optim.RAdam}
    if cfg.train.optim == "amsgrad":
        return torch.optim.Adam(groups, betas=betas, weight_decay=decay, amsgrad=True)
    return kinds[cfg.train.optim](groups, betas=betas, weight_decay=decay)


def build_scheduler(optimizer: torch.optim.Optimizer, cfg: Any) -> Any:
    """The schedule of ``cfg.train``, stepped once per epoch."""
    train = cfg.train
    if train.lr_scheduler not in ("warmup_cosine", "mip_cosine"):
        return host.optim.build_lr_scheduler(optimizer, **lr_scheduler_kwargs(cfg))
    # Epochs count from 1 to max_epoch, and a cycle restarts when it is complete: a single one has to outlast them.
    cycle = train.cosine.cycle if train.lr_scheduler == "mip_cosine" else train.max_epoch + 1
    return WarmupCosineRestarts(
        optimizer, train.warmup_epochs, train.warmup_lr, cycle, train.cosine.decay, train.cosine.min_lr
    )
