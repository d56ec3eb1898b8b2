from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from promptreid import host
from promptreid.config.defaults import default_config
from promptreid.config.kwargs import (
    augmentation_kwargs,
    datamanager_kwargs,
    engine_run_kwargs,
    lr_scheduler_kwargs,
    modal_datamanager_kwargs,
    optimizer_kwargs,
)
from promptreid.config.merge import merged
from promptreid.data.manager import ModalDataManager
from promptreid.data.transforms import Augmentation

PAIRS = {
    "datamanager": (datamanager_kwargs, host.ImageDataManager.__init__, {"self"}),
    "optimizer": (optimizer_kwargs, host.optim.build_optimizer, {"model"}),
    "lr_scheduler": (lr_scheduler_kwargs, host.optim.build_lr_scheduler, {"optimizer"}),
    "engine_run": (engine_run_kwargs, host.engine.Engine.run, {"self"}),
}


def test_every_argument_of_ours_is_given_and_no_other():
    taken = set(inspect.signature(ModalDataManager.__init__).parameters) - {"self", "kwargs"}
    assert set(modal_datamanager_kwargs(default_config())) == taken - {"augment", "rank", "world_size", "trained"}
    assert Augmentation(**augmentation_kwargs(default_config())).asked is False
    chains = {"infrared": ["blur"], "near_infrared": ["jitter"], "thermal_infrared": ["pad_crop"]}
    others = {"aligned": True, "drop_modality": 0.25, "second_visible": True}
    others["second_exchange"] = "caj_exchange"
    others |= {"amplitude_swap": 0.5, "amplitude_window": 0.1}
    given = {f"data.augment.{name}": value for name, value in {**chains, **others}.items()}
    ours = {"train.seed": 5, "data.pack": "p", "data.incomplete": "keep", "data.decoder": "simplejpeg"}
    ours["data.table"] = "t.csv"
    ours |= {"data.range_16bit": "fixed", "data.limits_16bit": [5, 9]}
    ours |= {"data.on_bad_image": "skip", "data.start_method": "spawn"}
    cfg = merged(default_config(), {**given, **ours})
    assert Augmentation(**augmentation_kwargs(cfg)) == Augmentation(visible=[], **chains, **others)
    assert modal_datamanager_kwargs(cfg) == {
        "seed": 5,
        "pack": "p",
        "persistent_workers": False,
        "on_bad_image": "skip",
        "start_method": "spawn",
        "incomplete": "keep",
        "table": "t.csv",
        "decoder": "simplejpeg",
        "range_16bit": "fixed",
        "limits_16bit": [5, 9],
    }


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_every_argument_of_torchreid_is_given_and_no_other(pair: tuple[Callable, Callable, set[str]]):
    ours, theirs, objects = pair
    assert set(ours(default_config())) == set(inspect.signature(theirs).parameters) - objects


def test_each_argument_takes_its_own_key():
    values: dict[str, Any] = {
        "data.height": 1,
        "data.width": 2,
        "train.batch_size": 3,
        "test.batch_size": 4,
        "sampler.train_sampler": "a",
        "sampler.train_sampler_t": "b",
        "cuhk03.labeled_images": True,
        "adam.beta1": 0.1,
        "adam.beta2": 0.2,
        "sgd.dampening": 0.3,
        "train.stepsize": [5, 6],
        "train.max_epoch": 7,
        "test.evaluate": True,
        "test.visrank_topk": 8,
    }
    cfg = merged(default_config(), values)
    data = datamanager_kwargs(cfg, use_gpu=False)
    names = ["height", "width", "batch_size_train", "batch_size_test", "train_sampler", "train_sampler_t", "use_gpu"]
    assert [data[name] for name in names] == [1, 2, 3, 4, "a", "b", False]
    assert (data["cuhk03_labeled"], data["cuhk03_classic_split"]) == (True, False)
    optimizer = optimizer_kwargs(cfg)
    assert [optimizer[name] for name in ("adam_beta1", "adam_beta2", "sgd_dampening")] == [0.1, 0.2, 0.3]
    assert lr_scheduler_kwargs(cfg) == {"lr_scheduler": "single_step", "stepsize": [5, 6], "gamma": 0.1, "max_epoch": 7}
    run = engine_run_kwargs(cfg)
    assert (run["max_epoch"], run["test_only"], run["visrank_topk"]) == (7, True, 8)


def test_torchreid_builds_from_them():
    import torch

    optimizer = host.optim.build_optimizer(torch.nn.Linear(2, 2), **optimizer_kwargs(default_config()))
    scheduler = host.optim.build_lr_scheduler(optimizer, **lr_scheduler_kwargs(default_config()))
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.999)
    assert scheduler.step_size == 20
