"""Every configuration in configs/ loads, is valid and builds its model, optimiser and loss."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from promptreid import host
from promptreid.config import load_config, validate
from promptreid.data.batch import ModalBatch
from promptreid.engine.build import build_criterion, build_model
from promptreid.engine.optimisation import build_optimizer, build_scheduler

FOLDER = Path(__file__).resolve().parents[2] / "configs"
FILES = sorted(FOLDER.rglob("*.yaml"))
SMALL = {"mip.vit.depth": 3, "mip.vit.embed_dim": 24, "mip.vit.num_heads": 2, "model.pretrained": False}


def test_there_are_some() -> None:
    assert len(FILES) >= 7


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER)))
def test_it_builds_and_takes_a_step(file: Path) -> None:
    cfg = load_config(file, overrides=SMALL)
    validate(cfg, models=host.model_names(), datasets=host.dataset_names())
    dataset = SimpleNamespace(num_cameras=6, modalities=("visible", "infrared"))
    data = SimpleNamespace(num_train_pids=4, num_train_cams=6, train_loader=SimpleNamespace(dataset=dataset))
    model = build_model(cfg, data, use_gpu=False).train()
    optimizer = build_optimizer(model, cfg)
    build_scheduler(optimizer, cfg)
    criterion = build_criterion(cfg, model)
    assert criterion is not None
    size = (8, 1, 3, cfg.data.height, cfg.data.width)
    half = torch.arange(8) % 2
    batch = ModalBatch.of(torch.randn(size), half[:, None], half * 2)
    total, _ = criterion(model(batch), torch.arange(8) // 4)
    total.backward()
    optimizer.step()
    assert torch.isfinite(total)
