"""Which differences between two configurations forbid to continue."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from promptreid.config import dump_config, load_config
from promptreid.config.defaults import default_config
from promptreid.config.keys import flatten
from promptreid.engine.checkpoints import resume_check as compatibility
from promptreid.engine.checkpoints.resume_check import config_differences, listed, tensor_differences


def differences(before: dict[str, Any], after: dict[str, Any]) -> tuple[list[str], list[str]]:
    return config_differences(*(dump_config(load_config(overrides=changes)) for changes in (before, after)))


def test_equal_configurations_do_not_differ() -> None:
    assert differences({}, {}) == ([], [])


@pytest.mark.parametrize(
    ("key", "value"),
    [("train.lr", 0.5), ("train.batch_size", 64), ("data.sources", ["regdb"]), ("mip.depth", 3), ("train.seed", 9)],
)
def test_what_decides_on_the_numbers_may_not_differ(key: str, value: Any) -> None:
    forbidden, free = differences({}, {key: value})
    assert [line.partition(":")[0] for line in forbidden] == [key] and not free


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.root", "/x"), ("data.workers", 0), ("backbone.weights", "w.pth"), ("backbone.allow_download", True),
        ("data.synthetic.ids", 3), ("test.batch_size", 7), ("test.protocols", ["x"]), ("train.max_epoch", 99),
        ("train.compile", True),
    ],
)  # fmt: skip
def test_what_does_not_may(key: str, value: Any) -> None:
    forbidden, free = differences({}, {key: value})
    assert not forbidden and [line.partition(":")[0] for line in free] == [key]


def test_the_end_of_a_schedule_that_runs_to_the_end_may_not_move() -> None:
    for schedule, allowed in (("single_step", True), ("mip_cosine", True), ("cosine", False), ("warmup_cosine", False)):
        forbidden, _ = differences(
            {"train.lr_scheduler": schedule}, {"train.lr_scheduler": schedule, "train.max_epoch": 9}
        )
        assert bool(forbidden) != allowed, schedule


def test_a_selection_depends_on_what_is_tested() -> None:
    select = {"test.select": "test", "test.eval_freq": 1}
    for change in ({"test.protocols": ["x"]}, {"test.select_metric": "rank1"}, {"data.targets": ["regdb"]}):
        assert differences(select, {**select, **change})[0]
        assert not differences({}, change)[0]
    assert not differences(select, {**select, "test.batch_size": 7})[0]


def test_keys_of_another_version_are_passed_over() -> None:
    assert config_differences("a: {b: 1}", "a: {b: 1, c: 2}") == ([], [])
    assert config_differences("a: {b: 1, c: 3}", "a: {b: 2}") == (["a.b: 1, now 2"], [])


def test_every_named_key_exists() -> None:
    keys = set(flatten(default_config()))
    assert keys >= compatibility._FREE | compatibility._SELECTING


def test_tensors_that_do_not_fit_are_named() -> None:
    own = {"a": torch.zeros(2), "b": torch.zeros(3), "c": torch.zeros(1)}
    given = {"a": torch.ones(2), "b": torch.zeros(3, 1), "d": torch.zeros(1)}
    assert tensor_differences(own, own) == []
    assert tensor_differences(own, given) == [
        "c is missing",
        "d is in no part of the model",
        "b has shape (3, 1), the model's (3,)",
    ]
    assert listed([str(number) for number in range(10)]) == "0; 1; 2; 3; 4; 5; 6; 7; and 2 more"
