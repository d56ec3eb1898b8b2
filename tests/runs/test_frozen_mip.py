"""A training of a frozen MIP from a configuration: what it keeps, and that its run can be loaded and shared again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_runs import newest, small_config

import promptreid
from promptreid.models.backbones.bundled_towers import mini_state
from promptreid.runs.run import run

OWN = {
    "model.pretrained": True, "backbone.stride": 16, "data.height": 64, "data.width": 32, "mip.frozen": True,
    "train.max_epoch": 1, "train.warmup_epochs": 0, "backbone.drop_path": 0.0,
    **{f"backbone.vit.{key}": None for key in ("depth", "embed_dim", "num_heads")},
}  # fmt: skip


@pytest.fixture(scope="module", params=["mini_vit", "mini_clip"])
def trained(request: pytest.FixtureRequest, sysu_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param) / "run"
    cfg = small_config(sysu_root, folder, **OWN, **{"backbone.name": request.param})
    run(cfg)
    return cfg


def test_a_run_is_loaded_embedded_and_shared(trained: Any, tmp_path: Path) -> None:
    state = newest(Path(trained.data.save_dir))["state_dict"]
    assert [name for name in state if name.startswith("backbone.")] == ["backbone.digest"]
    pictures = [np.full((60, 30, 3), level, np.uint8) for level in (10, 200)]
    reid = promptreid.load(trained.data.save_dir)
    vectors = reid.embed(pictures).vectors
    assert reid.network.check_unchanged() and np.isfinite(vectors).all()
    if trained.backbone.name == "mini_vit":
        own = reid.network.trunk.blocks[0].attn.qkv.weight
        assert torch.equal(own, mini_state("mini_vit")["blocks.0.attn.qkv.weight"]), "as it was pretrained"
    reid.save_adapter(tmp_path / "adapter")
    np.testing.assert_array_equal(promptreid.load(tmp_path / "adapter").embed(pictures).vectors, vectors)
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert not [name for name in saved if name.startswith("backbone.blocks")]


def test_another_tower_is_refused(trained: Any, sysu_root: Path, tmp_path: Path) -> None:
    from promptreid.methods.mip.model import build_mip, mip_paper

    state = newest(Path(trained.data.save_dir))["state_dict"]
    torch.manual_seed(5)
    other = build_mip(4, pretrained=False, backbone=trained.backbone.name, options=mip_paper(frozen=True), stride=16)
    with pytest.raises(RuntimeError, match="trained on other frozen weights"):
        other.load_state_dict(state, strict=False)
