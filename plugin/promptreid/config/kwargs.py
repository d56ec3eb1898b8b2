"""The tree as keyword arguments of torchreid's own classes and functions."""

from __future__ import annotations

from typing import Any

from yacs.config import CfgNode

from promptreid.config.keys import flatten

_DATAMANAGER = {
    "root": "data.root",
    "sources": "data.sources",
    "targets": "data.targets",
    "height": "data.height",
    "width": "data.width",
    "transforms": "data.transforms",
    "k_tfm": "data.k_tfm",
    "norm_mean": "data.norm_mean",
    "norm_std": "data.norm_std",
    "split_id": "data.split_id",
    "combineall": "data.combineall",
    "load_train_targets": "data.load_train_targets",
    "batch_size_train": "train.batch_size",
    "batch_size_test": "test.batch_size",
    "workers": "data.workers",
    "num_instances": "sampler.num_instances",
    "num_cams": "sampler.num_cams",
    "num_datasets": "sampler.num_datasets",
    "train_sampler": "sampler.train_sampler",
    "train_sampler_t": "sampler.train_sampler_t",
    "cuhk03_labeled": "cuhk03.labeled_images",
    "cuhk03_classic_split": "cuhk03.classic_split",
    "market1501_500k": "market1501.use_500k_distractors",
}
_OPTIMIZER = {
    "optim": "train.optim",
    "lr": "train.lr",
    "weight_decay": "train.weight_decay",
    "momentum": "sgd.momentum",
    "sgd_dampening": "sgd.dampening",
    "sgd_nesterov": "sgd.nesterov",
    "rmsprop_alpha": "rmsprop.alpha",
    "adam_beta1": "adam.beta1",
    "adam_beta2": "adam.beta2",
    "staged_lr": "train.staged_lr",
    "new_layers": "train.new_layers",
    "base_lr_mult": "train.base_lr_mult",
}
_LR_SCHEDULER = {
    "lr_scheduler": "train.lr_scheduler",
    "stepsize": "train.stepsize",
    "gamma": "train.gamma",
    "max_epoch": "train.max_epoch",
}
_ENGINE_RUN = {
    "save_dir": "data.save_dir",
    "max_epoch": "train.max_epoch",
    "start_epoch": "train.start_epoch",
    "print_freq": "train.print_freq",
    "fixbase_epoch": "train.fixbase_epoch",
    "open_layers": "train.open_layers",
    "start_eval": "test.start_eval",
    "eval_freq": "test.eval_freq",
    "test_only": "test.evaluate",
    "dist_metric": "test.dist_metric",
    "normalize_feature": "test.normalize_feature",
    "visrank": "test.visrank",
    "visrank_topk": "test.visrank_topk",
    "use_metric_cuhk03": "cuhk03.use_metric_cuhk03",
    "ranks": "test.ranks",
    "rerank": "test.rerank",
}


_MODAL_DATAMANAGER = {
    "seed": "train.seed",
    "pack": "data.pack",
    "incomplete": "data.incomplete",
    "table": "data.table",
    "decoder": "data.decoder",
    "range_16bit": "data.range_16bit",
    "limits_16bit": "data.limits_16bit",
    "persistent_workers": "data.persistent_workers",
    "on_bad_image": "data.on_bad_image",
    "start_method": "data.start_method",
}
_AUGMENTATION = {
    "visible": "data.augment.visible",
    "infrared": "data.augment.infrared",
    "near_infrared": "data.augment.near_infrared",
    "thermal_infrared": "data.augment.thermal_infrared",
    "interpolation": "data.augment.interpolation",
    "aligned": "data.augment.aligned",
    "drop_modality": "data.augment.drop_modality",
    "second_visible": "data.augment.second_visible",
    "second_exchange": "data.augment.second_exchange",
    "amplitude_swap": "data.augment.amplitude_swap",
    "amplitude_window": "data.augment.amplitude_window",
}
_STEP = {
    "amp": "train.amp",
    "amp_dtype": "train.amp_dtype",
    "accumulation": "train.accumulation",
    "clip_norm": "train.clip_norm",
    "ema": "train.ema",
    "checkpoint_steps": "train.checkpoint_steps",
    "gather": "train.gather",
}
_SELECTION = {
    "select": "test.select",
    "metric": "test.select_metric",
    "target": "test.select_target",
    "patience": "train.patience",
}


_WATCH = {
    "loggers": "train.loggers",
    **{
        name: f"train.tensorboard.{name}"
        for name in (
            "pictures", "histograms", "cosines", "batches", "images", "queries", "ranks", "objects", "thumbnail",
        )
    },
    "mean": "data.norm_mean",
    "std": "data.norm_std",
}  # fmt: skip
_EVALUATION = {
    "flip": "test.flip",
    "rerank_distances": "test.rerank_distances",
}


def datamanager_kwargs(cfg: CfgNode, use_gpu: bool = True) -> dict[str, Any]:
    """Arguments of ``torchreid.data.ImageDataManager``. ``use_gpu`` pins memory, where there is a GPU."""
    return {**_pick(cfg, _DATAMANAGER), "use_gpu": use_gpu}


def modal_datamanager_kwargs(cfg: CfgNode) -> dict[str, Any]:
    """Arguments that ``promptreid.data.manager.ModalDataManager`` takes besides, except the process and ``augment``."""
    return _pick(cfg, _MODAL_DATAMANAGER)


def augmentation_kwargs(cfg: CfgNode) -> dict[str, Any]:
    """Arguments of ``promptreid.data.transforms.Augmentation``."""
    return _pick(cfg, _AUGMENTATION)


def optimizer_kwargs(cfg: CfgNode) -> dict[str, Any]:
    """Arguments of ``torchreid.optim.build_optimizer``, which knows every ``train.optim`` but ``adamw``."""
    return _pick(cfg, _OPTIMIZER)


def lr_scheduler_kwargs(cfg: CfgNode) -> dict[str, Any]:
    """Arguments of ``torchreid.optim.build_lr_scheduler``, which knows no schedule with a warm-up."""
    return _pick(cfg, _LR_SCHEDULER)


def step_kwargs(cfg: CfgNode) -> dict[str, Any]:
    """Arguments of ``promptreid.engine.update_step.StepOptions``."""
    return _pick(cfg, _STEP)


def selection_kwargs(cfg: CfgNode) -> dict[str, Any]:
    """Arguments of ``promptreid.engine.checkpoints.best_weights.SelectionOptions``."""
    return _pick(cfg, _SELECTION)


def evaluation_kwargs(cfg: CfgNode) -> dict[str, Any]:
    """Arguments of ``promptreid.engine.evaluation_options.EvaluationOptions``."""
    return _pick(cfg, _EVALUATION)


def watch_kwargs(cfg: CfgNode) -> dict[str, Any]:
    """Arguments of ``promptreid.engine.watch_options.WatchOptions``."""
    return _pick(cfg, _WATCH)


def engine_run_kwargs(cfg: CfgNode) -> dict[str, Any]:
    """Arguments of ``torchreid.engine.Engine.run``."""
    return _pick(cfg, _ENGINE_RUN)


def _pick(cfg: CfgNode, keys: dict[str, str]) -> dict[str, Any]:
    leaves = flatten(cfg)
    return {name: leaves[key] for name, key in keys.items()}
