"""Runs of release 0.1 (three small ones, in ``before_0_2``) load, and give the results that they gave then."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from promptreid.config import load_config
from promptreid.engine.checkpoints.resume_check import config_differences
from promptreid.runs.run import run

RUNS = Path(__file__).with_name("before_0_2")


def opened(name: str, tmp_path: Path, **changes: Any) -> Any:
    """The configuration of a copy of a run; its images are rendered anew."""
    folder = tmp_path / name
    shutil.copytree(RUNS / name, folder)
    places = {"data.root": str(tmp_path / "data"), "data.save_dir": str(folder)}
    return load_config(folder / "config.yaml", overrides={**places, **changes})


def scores(name: str, results: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """What each protocol measured then, and now."""
    (dataset, now) = results.popitem()
    then = json.loads((RUNS / name / f"results-{dataset}.json").read_text())["results"]
    return [[row["protocol"], row["mAP"], row["mINP"]] for row in then], [
        [result.protocol, result.as_dict()["mAP"], result.as_dict()["mINP"]] for result in now
    ]


@pytest.mark.parametrize("name", ["mip", "transreid", "dmpt"])
@pytest.mark.parametrize("checkpoint", [True, False])
def test_an_old_run_is_tested_with_the_results_of_then(name: str, checkpoint: bool, tmp_path: Path) -> None:
    if checkpoint and name != "mip":
        pytest.skip("only one whole checkpoint is kept, for its size")
    weights = {} if checkpoint else {"model.load_weights": str(RUNS / name / "model" / "model.safetensors")}
    then, now = scores(name, run(opened(name, tmp_path, **weights), eval_only=True))
    assert [row[0] for row in now] == [row[0] for row in then]
    for one, other in zip(now, then, strict=True):
        assert one[1:] == pytest.approx(other[1:], abs=1e-9)


def test_an_old_run_is_continued(tmp_path: Path) -> None:
    cfg = opened("mip", tmp_path, **{"train.max_epoch": 3, "train.lr_scheduler": "warmup_cosine"})
    written = (RUNS / "mip" / "config.yaml").read_text()
    forbidden, _ = config_differences(written, cfg.dump())
    assert forbidden == ["train.max_epoch: 2, now 3"]  # this schedule reaches its floor at the last epoch
    cfg = opened("mip", tmp_path / "again")
    assert config_differences(written, cfg.dump())[0] == []
    run(cfg, resume="auto")


def test_keys_of_before_have_their_names_of_today(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        cfg = opened("transreid", tmp_path)
    assert (cfg.backbone.stride, cfg.backbone.vit.embed_dim, cfg.backbone.drop_path) == (8, 16, 0.0)
    assert "mip.stride is now backbone.stride" in caplog.text
    assert "dmpt." not in caplog.text


def test_a_baseline_took_after_bn_from_mip() -> None:
    baseline = {"model.name": "vit_tiny_patch16_reid", "mip.after_bn": True, "mip.stride": 16}
    cfg = load_config(overrides=baseline)
    assert (cfg.baselines.after_bn, cfg.mip.after_bn, cfg.backbone.stride) == (True, False, 16)
    cfg = load_config(overrides={**baseline, "model.name": "mip_vit_tiny_patch16"})
    assert (cfg.baselines.after_bn, cfg.mip.after_bn, cfg.backbone.stride) == (False, True, 16)


def test_keys_of_another_method_are_left_out_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        cfg = load_config(overrides={"model.name": "dmpt_vit_base_patch16", "mip.stride": 16, "dmpt.stride": 8})
    assert cfg.backbone.stride == 8
    assert "mip.stride has no effect here" in caplog.text


def test_the_new_name_wins_where_both_are_given() -> None:
    both = {"model.name": "mip_vit_tiny_patch16", "backbone.stride": 16, "mip.stride": 12}
    assert load_config(overrides=both).backbone.stride == 16
