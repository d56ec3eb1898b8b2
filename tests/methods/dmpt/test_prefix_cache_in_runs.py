"""The key ``dmpt.prefix_cache``: from the configuration to a model with a cache."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from dmpt_models import tiny_dmpt

from promptreid.config import load_config
from promptreid.methods.dmpt.method import cache_prefix
from promptreid.runs.build import build_datamanager, build_engine

MIXED = ["random_flip", "pad_crop", "pixel_erase"]


def config(**changes: Any) -> Any:
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    return load_config(overrides={"model.name": "dmpt_clip_tiny", "dmpt.prefix_cache": 3, **changes})


def attached(use_gpu: bool = False, **changes: Any) -> Any:
    model = tiny_dmpt(first_layer=2)
    cache_prefix(model, config(**changes), use_gpu)
    return model.prefix_cache


def test_the_key_is_in_mib() -> None:
    assert attached().limit == 3 * 2**20


def test_images_are_computed_alone_where_a_resumed_run_must_have_the_same_bits() -> None:
    on_gpu = [attached(use_gpu=True, train__deterministic=wanted).one_by_one for wanted in (False, True)]
    assert (attached().one_by_one, *on_gpu) == (True, False, True)


@pytest.mark.parametrize(
    ("changes", "drawn"),
    [
        ({"data__transforms": ["random_flip", "random_crop"]}, "random_crop"),
        ({"data__augment__visible": MIXED, "data__augment__infrared": MIXED}, "pad_crop, pixel_erase"),
        ({"data__augment__visible": MIXED}, "pad_crop, pixel_erase"),
        ({"data__augment__visible": ["random_flip"], "data__transforms": ["random_crop"]}, "random_crop"),
        ({"data__augment__thermal_infrared": ["resize", "jitter"]}, "jitter"),
        ({"data__augment__near_infrared": ["blur"]}, "blur"),
        ({"data__augment__second_visible": True}, "second_visible"),
        ({"data__augment__amplitude_swap": 0.5}, "amplitude_swap"),
    ],
)
def test_training_images_that_never_repeat_are_left_out(
    changes: dict[str, Any], drawn: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert attached(**changes).in_training is False
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == (
        f"dmpt.prefix_cache: after {drawn} training images hardly ever repeat; only tests use the cache"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"data__transforms": ["random_flip"]},
        {
            "data__transforms": ["random_erase"],  # of no modality
            "data__augment__visible": ["random_flip"],
            "data__augment__infrared": ["resize", "normalize"],
        },
    ],
)
def test_training_images_that_are_flipped_at_most_are_kept(
    changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert attached(**changes).in_training is True
    assert [record.message for record in caplog.records] == [
        "dmpt.prefix_cache: random_flip makes two versions of each training image, kept apart"
    ]
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert attached(data__transforms=[]).in_training is True
    assert not caplog.records


@pytest.mark.parametrize(
    "model", [torch.nn.Linear(1, 1), tiny_dmpt(), tiny_dmpt(first_layer=2, frozen=False)], ids=["other", "all", "tuned"]
)
def test_a_model_that_it_cannot_serve_is_refused(model: torch.nn.Module) -> None:
    with pytest.raises(ValueError, match=r"dmpt\.prefix_cache: no block of this \w+ .* or set dmpt\.prefix_cache 0"):
        cache_prefix(model, config())


def test_a_run_attaches_it_and_says_what_share_it_served(
    sysu_root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = config(
        data__root=str(sysu_root), data__sources=["sysu_mm01"], data__targets=["sysu_mm01"], data__workers=0,
        data__height=64, data__width=32, data__transforms=[], train__batch_size=64, loss__name="triplet",
        loss__triplet__weight_x=1.0,
    )  # fmt: skip
    data = build_datamanager(cfg, use_gpu=False)
    words = {"modalities": ("visible", "infrared"), "images_per_sample": 1, "bind": False, "alignment": False}
    model = tiny_dmpt("triplet", first_layer=4, **words)
    model.classifier[0] = torch.nn.Linear(24, data.num_train_pids, bias=False)
    engine = build_engine(cfg, data, model, use_gpu=False)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            engine.train()
            engine.position = engine.position._replace(step=0)
            engine.epoch += 1
    lines = [line for line in caplog.messages if "prefix cache: " in line]
    assert len(lines) == 2
    assert lines[0].endswith("; prefix cache: 0 % of images so far")
    share = round(100 * model.prefix_cache.share)
    assert 25 < share <= 50
    assert lines[1].endswith(f"; prefix cache: {share} % of images so far")
    plain = build_engine(config(dmpt__prefix_cache=0), data, tiny_dmpt(first_layer=4, **words), use_gpu=False)
    assert plain.model.prefix_cache is None
