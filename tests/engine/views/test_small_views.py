"""Histograms' values, a run's parameters, memory, and the layout's patterns."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from promptreid.config import default_config, dump_config
from promptreid.engine.views.histograms import MOST, prompt_values
from promptreid.engine.views.hparams import final_metrics, parameters_of
from promptreid.engine.views.layout import CHARTS
from promptreid.engine.views.memory import memory
from promptreid.evaluation import FeatureSet, MarketProtocol


def test_values_and_gradients_of_each_family(tiny_mip: Callable[..., Any]) -> None:
    model = tiny_mip()
    assert {tag for tag, _ in prompt_values(model)} == {"Prompts/prompts/values", "Prompts/generator/values"}
    library = model.modality_prompts.library
    library.grad = torch.arange(float(library.numel())).reshape(library.shape)
    library.grad.view(-1)[3] = torch.inf
    found = dict(prompt_values(model))
    assert np.array_equal(found["Prompts/prompts/values"], library.detach().numpy().ravel())
    assert np.array_equal(found["Gradients/prompts"], np.delete(np.arange(float(library.numel())), 3))
    assert all(len(values) < 2 * MOST for values in found.values())


def test_parameters_are_those_that_differ_without_places_and_loggers() -> None:
    cfg = default_config()
    cfg.data.sources = ["sysu_mm01"]
    cfg.data.save_dir, cfg.data.root = "/home/me/log", "/data"
    cfg.train.lr, cfg.train.amp, cfg.train.loggers = 0.01, True, []
    found = parameters_of(dump_config(cfg))
    assert found["train.lr"] == 0.01 and found["train.amp"] is True and found["data.sources"] == "['sysu_mm01']"
    assert found["train.seed"] == cfg.train.seed and "train.gather" not in found
    assert not any(key.startswith(("train.loggers", "data.save_dir", "data.root")) for key in found)
    assert "/" not in yaml.safe_dump(found)
    assert parameters_of("") == {}


def test_final_metrics_are_those_of_the_first_protocol() -> None:
    side = FeatureSet(np.eye(3), [0, 1, 2], [0, 0, 0])
    other = FeatureSet(np.eye(3), [0, 1, 1], [1, 1, 1])
    result = MarketProtocol("market").evaluate(side, other)
    expected = {"set/rank1": result.rank(1), "set/mAP": result.mAP, "set/mINP": result.mINP}
    assert final_metrics({"set": [result], "none": []}) == expected


def test_memory_of_this_process_is_told() -> None:
    found = memory(cuda=False)
    assert set(found) == {"cpu_resident"} and 0.05 < found["cpu_resident"] < 64


@pytest.mark.parametrize(
    ("chart", "tag", "there"),
    [
        ("loss and its parts", "Train/iael", True),
        ("loss and its parts", "Train/lr", False),
        ("loss and its parts", "Train/lr_like", True),
        ("accuracy of the first head, %", "Train/acc", True),
        ("mAP", "Test/sysu_mm01/sysu-python_all_1-shot/mAP", True),
        ("mAP", "Final/Test/sysu_mm01/mAP", False),
        ("measures of the method", "Prompts/gradient/words", False),
    ],
)
def test_charts_hold_what_belongs_there(chart: str, tag: str, there: bool) -> None:
    patterns = next(charts[chart] for charts in CHARTS.values() if chart in charts)
    assert any(re.match(pattern, tag) for pattern in patterns) == there
