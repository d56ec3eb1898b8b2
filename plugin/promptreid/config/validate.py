"""Checks on a whole configuration: names, ranges, and keys that contradict each other."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from typing import Any

from yacs.config import CfgNode

from promptreid.config.keys import did_you_mean, flatten
from promptreid.config.sections import all_keys, all_sections, choices_of
from promptreid.config.unused import without_effect

logger = logging.getLogger(__name__)

WARMUP_SCHEDULES = ("warmup_cosine", "mip_cosine")


def validate(
    cfg: CfgNode,
    models: Collection[str] | None = None,
    datasets: Collection[str] | None = None,
    training: bool = True,
) -> None:
    """Raise when ``cfg`` can't be trained or tested with; warn of keys that were set and have no effect.

    Args:
        cfg: the tree.
        models: names that ``model.name`` may have; any, if omitted.
        datasets: names that ``data.sources`` and ``data.targets`` may have; any, if omitted.
        training: whether anything is to be trained; ``test.evaluate`` says no, too. Keys that only matter in training
            may then contradict each other.

    Raises:
        ValueError: one line per problem, each with its full key and what to do.
    """
    flat = flatten(cfg)
    problems = [*_names(flat, models, datasets), *_ranges(flat)]
    # Rules across keys would stumble over values that are wrong by themselves.
    problems = problems or [*_data(flat), *_backbone(flat), *_sections(flat)]
    if training and not flat["test.evaluate"]:
        problems = problems or [*_batches(flat), *_schedule(flat), *_loss(flat), *_tests_while_training(flat)]
    if problems:
        raise ValueError("\n".join(problems))
    useless = without_effect(flat)
    if useless:
        logger.warning("keys without effect: %s", "; ".join(useless))


def _names(flat: dict[str, Any], models: Collection[str] | None, datasets: Collection[str] | None) -> Iterator[str]:
    for key, row in all_keys().items():
        allowed = choices_of(row)
        for value in _each(flat[key]) if allowed else ():
            if value not in allowed:
                names = ", ".join(name or '""' for name in allowed)
                yield f"{key}: unknown name {value!r}{did_you_mean(value, allowed)} (one of {names})"
    for key, known in {"model.name": models, "data.sources": datasets, "data.targets": datasets}.items():
        for value in _each(flat[key]):
            if known is not None and value not in known:
                yield f"{key}: {value!r} isn't registered{_choices(value, known)}"


def _choices(value: str, known: Collection[str]) -> str:
    """The nearest name, or else those that hold the value, or else all."""
    near = did_you_mean(value, known)
    holding = [name for name in known if value and value.lower() in name]
    return near or f"; there are {', '.join(sorted(holding or known))}"


def _ranges(flat: dict[str, Any]) -> Iterator[str]:
    for key, row in all_keys().items():
        if row.range is None:
            continue
        for value in _each(flat[key]):
            if value is not None and value not in row.range:
                yield f"{key} {value} is out of range: it must be {row.range}"
    for key in ("data.sources", "data.targets", "train.stepsize", "test.ranks"):
        if not flat[key]:
            yield f"{key} is empty: give at least one"


def _data(flat: dict[str, Any]) -> Iterator[str]:
    if flat["data.type"] != "image":
        yield "data.type video: only images are trained here; torchreid's own launcher does videos (promptreid host)"
    if flat["data.k_tfm"] != 1:
        yield f"data.k_tfm {flat['data.k_tfm']}: torchreid's engines take one augmented copy per image, so it must be 1"
    for key in ("data.norm_mean", "data.norm_std", "data.synthetic.size"):
        wanted = 2 if key.endswith("size") else 3
        if len(flat[key]) != wanted and not (key.endswith("size") and not flat[key]):
            yield f"{key} {flat[key]} has {len(flat[key])} values: it needs {wanted}"
    shared = sorted(set(flat["data.sources"]) & set(flat["data.targets"]))
    if flat["data.load_train_targets"] and shared:
        yield f"data.load_train_targets: {shared} is both in data.sources and in data.targets; keep it in one"
    if flat["data.persistent_workers"] and not flat["data.workers"]:
        yield "data.persistent_workers True keeps workers, of which data.workers 0 asks for none: raise it"


def _batches(flat: dict[str, Any]) -> Iterator[str]:
    batch, instances, sampler = flat["train.batch_size"], flat["sampler.num_instances"], flat["sampler.train_sampler"]
    if sampler in ("RandomIdentitySampler", "IdentitySampler", "CrossModalSampler"):
        if sampler == "CrossModalSampler" and instances % 2:
            yield f"sampler.num_instances {instances} can't be half visible, half infrared: choose {instances + 1}"
        elif batch % instances:
            below = batch // instances * instances
            advice = f"choose e.g. {below} or {below + instances}" if below else f"choose e.g. {instances}"
            yield f"train.batch_size {batch} is not a multiple of sampler.num_instances {instances}: {advice}"
        elif batch == instances and flat["loss.name"] != "softmax":
            yield f"train.batch_size {batch} holds one identity, but a triplet needs two: choose at least {2 * batch}"
    elif flat["loss.name"] == "prompt" and (flat["loss.prompt.weight_t"] or flat["loss.prompt.use_msel"]):
        yield f"sampler.train_sampler {sampler} groups no identities for loss.prompt: choose e.g. RandomIdentitySampler"


def _schedule(flat: dict[str, Any]) -> Iterator[str]:
    schedule, steps, epochs = flat["train.lr_scheduler"], flat["train.stepsize"], flat["train.max_epoch"]
    if flat["train.start_epoch"] >= epochs:
        yield f"train.start_epoch {flat['train.start_epoch']} leaves nothing of train.max_epoch {epochs}: lower it"
    if flat["train.checkpoint_steps"] % flat["train.accumulation"]:
        yield (
            f"train.checkpoint_steps {flat['train.checkpoint_steps']} must be a multiple of train.accumulation "
            f"{flat['train.accumulation']}: half an optimisation step can't be saved"
        )
    if flat["train.fixbase_epoch"] > epochs:
        yield f"train.fixbase_epoch {flat['train.fixbase_epoch']} is above train.max_epoch {epochs}: lower it"
    if schedule == "single_step" and len(steps) != 1:
        yield f"train.stepsize {steps}: single_step takes one; set train.lr_scheduler to multi_step for several"
    if schedule == "multi_step" and steps != sorted(set(steps)):
        yield f"train.stepsize {steps} must rise from step to step"
    if schedule in WARMUP_SCHEDULES:
        yield from _warmup(flat, epochs)
    if flat["train.optim"] == "sgd" and flat["sgd.nesterov"] and (flat["sgd.dampening"] or not flat["sgd.momentum"]):
        yield "sgd.nesterov needs sgd.momentum above 0 and sgd.dampening 0"


def _warmup(flat: dict[str, Any], epochs: int) -> Iterator[str]:
    lr, warmup_lr, min_lr = flat["train.lr"], flat["train.warmup_lr"], flat["train.cosine.min_lr"]
    if flat["train.warmup_epochs"] >= epochs:
        yield f"train.warmup_epochs {flat['train.warmup_epochs']} must be below train.max_epoch {epochs}"
    if flat["train.warmup_epochs"] and warmup_lr > lr:
        yield f"train.warmup_lr {warmup_lr} is above train.lr {lr}, to which it should rise: lower it"
    if min_lr > lr:
        yield f"train.cosine.min_lr {min_lr} is above train.lr {lr}, from which it should fall: lower it"


def _loss(flat: dict[str, Any]) -> Iterator[str]:
    name = flat["loss.name"]
    if name not in ("triplet", "prompt"):
        return
    weight_x, weight_t = flat[f"loss.{name}.weight_x"], flat[f"loss.{name}.weight_t"]
    if not weight_x and not weight_t:
        yield f"loss.{name}.weight_x and loss.{name}.weight_t are both 0: nothing would be learnt"
    if not weight_x and flat["train.fixbase_epoch"]:
        yield f"train.fixbase_epoch: loss.{name}.weight_x 0 gives the classifier no gradient: raise it or set this to 0"


def _backbone(flat: dict[str, Any]) -> Iterator[str]:
    if flat["backbone.weights"] and not flat["model.pretrained"]:
        yield "backbone.weights names a file, but model.pretrained False wouldn't read it: set model.pretrained True"
    width, heads = flat["backbone.vit.embed_dim"], flat["backbone.vit.num_heads"]
    if width and heads and width % heads:
        yield f"backbone.vit.embed_dim {width} can't be split among backbone.vit.num_heads {heads}: choose a multiple"


def _sections(flat: dict[str, Any]) -> Iterator[str]:
    """What methods and losses say of their own keys."""
    for section in all_sections():
        if section.in_use(flat):
            yield from section.contradictions(flat)


def _tests_while_training(flat: dict[str, Any]) -> Iterator[str]:
    select = flat["test.select"]
    if select != "last" and flat["test.eval_freq"] < 1:
        yield f"test.select {select} chooses among tests while training: set test.eval_freq to the epochs between them"
    if select == "last" and flat["train.patience"]:
        yield "train.patience ends a run that doesn't improve on what test.select says: set that to dev or test"
    if flat["test.visrank"]:
        yield "test.visrank draws rank lists only when nothing is trained: set test.evaluate True, or use --eval-only"


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
