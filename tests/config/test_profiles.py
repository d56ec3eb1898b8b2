"""Profiles of machines: each lies over every configuration, and changes nothing of its recipe but what it says."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from promptreid import host
from promptreid.config import load_config, validate
from promptreid.config.keys import flatten
from promptreid.runs.step_memory import step_memory

FOLDER = Path(__file__).resolve().parents[2] / "configs"
PROFILES = sorted((FOLDER / "profiles").glob("*.yaml"))
OTHERS = sorted(file for file in FOLDER.rglob("*.yaml") if file.parent.name != "profiles")
PRECISION = {"train.amp", "train.checkpoint_blocks", "dmpt.frozen_dtype"}
SPEED = {"train.compile", "data.workers", "data.persistent_workers", "test.batch_size"}
CHANGES = {"8gb": PRECISION, "16gb": PRECISION, "large_gpu": PRECISION | SPEED}
TINY = {"backbone.vit.depth": 3, "backbone.vit.embed_dim": 24, "backbone.vit.num_heads": 2, "data.height": 64,
        "data.width": 32}  # fmt: skip


@cache
def plain_keys(file: Path) -> dict[str, Any]:
    return flatten(load_config(file))


def test_they_are_these() -> None:
    assert {profile.stem for profile in PROFILES} == set(CHANGES)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda file: file.stem)
def test_it_lies_over_every_configuration(profile: Path, caplog: pytest.LogCaptureFixture) -> None:
    for file in OTHERS:
        plain, cfg = plain_keys(file), load_config(file, overlays=[profile])
        changed = {key for key, value in flatten(cfg).items() if value != plain[key]}
        assert changed <= CHANGES[profile.stem], file
        assert changed or {"train.amp": True}.items() <= plain.items(), file
        with caplog.at_level(logging.WARNING):
            validate(cfg, models=host.model_names(), datasets=host.dataset_names())
        assert not caplog.text, file


def test_a_run_on_8_gb_is_that_on_16_gb_with_blocks_computed_twice() -> None:
    for file in (FOLDER / "dmpt" / "rgbnt201.yaml", FOLDER / "mip" / "sysu_mm01.yaml"):
        small, large = (
            flatten(load_config(file, overlays=[FOLDER / "profiles" / name])) for name in ("8gb.yaml", "16gb.yaml")
        )
        assert {key for key in small if small[key] != large[key]} == {"train.checkpoint_blocks"}


@pytest.mark.parametrize(
    ("name", "model"), [("mip/sysu_mm01", "mip_vit_base_patch16"), ("dmpt/rgbnt201", "dmpt_clip_tiny")]
)
def test_smaller_profiles_take_less(name: str, model: str) -> None:
    def peak(*profiles: str, **settings: Any) -> int:
        overlays = [FOLDER / "profiles" / f"{profile}.yaml" for profile in profiles]
        changes = {**TINY, "model.name": model, **settings}
        return step_memory(load_config(FOLDER / f"{name}.yaml", (), changes, overlays), identities=6).peak

    assert peak("8gb") < peak("16gb") < peak(**{"train.amp": False})
