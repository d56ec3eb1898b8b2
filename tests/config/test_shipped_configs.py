"""Every configuration in configs/ loads, is valid and builds its model, optimiser and loss.

Profiles, which are laid over others, are in ``test_profiles.py``.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from promptreid import host
from promptreid.config import load_config, validate
from promptreid.data.batch import ModalBatch
from promptreid.engine.optimizers import build_optimizer, build_scheduler
from promptreid.runs.build import build_criterion, build_model

FOLDER = Path(__file__).resolve().parents[2] / "configs"
FILES = sorted(file for file in FOLDER.rglob("*.yaml") if file.parent.name != "profiles")
SMALL: dict[str, Any] = {
    "backbone.vit.depth": 3,
    "backbone.vit.embed_dim": 24,
    "backbone.vit.num_heads": 2,
    "model.pretrained": False,
}
SMALL_NAMES = {"dmpt_vit_base_patch16": "dmpt_clip_tiny", "three_osnet_x1_0": "three_osnet_x0_25"}


def test_there_are_some() -> None:
    assert len(FILES) >= 20


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER)))
def test_each_key_has_an_effect(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    cfg = load_config(file)
    with caplog.at_level(logging.WARNING):
        validate(cfg, models=host.model_names(), datasets=host.dataset_names())
    assert not caplog.text


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER)))
def test_it_builds_and_takes_a_step(file: Path) -> None:
    cfg = load_config(file, overrides=SMALL)
    validate(cfg, models=host.model_names(), datasets=host.dataset_names())
    cfg.defrost()
    cfg.model.name = SMALL_NAMES.get(cfg.model.name, cfg.model.name)
    factory: Any = host.dataset_factory(cfg.data.sources[0])
    of_bands = isinstance(factory, partial)  # a data set of triples whose images are samples of their own
    whole = factory.keywords["whole"] if of_bands else factory
    modalities, slots = whole.modalities, 1 if of_bands else whole.images_per_sample
    dataset = SimpleNamespace(num_cameras=6, modalities=modalities, images_per_sample=slots)
    data = SimpleNamespace(num_train_pids=4, num_train_cams=6, train_loader=SimpleNamespace(dataset=dataset))
    model = build_model(cfg, data, use_gpu=False).train()
    optimizer = build_optimizer(model, cfg)
    build_scheduler(optimizer, cfg)
    criterion = build_criterion(cfg, model)
    loss = _loss(criterion, model(_batch(cfg, slots)))
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)


def _batch(cfg: Any, slots: int) -> ModalBatch:
    """Eight samples of four identities; one image each is of either modality in turn, triples have all of them."""
    half = torch.arange(8) % 2
    modality = half[:, None] if slots == 1 else torch.arange(slots).expand(8, slots).clone()
    return ModalBatch.of(torch.randn(8, slots, 3, cfg.data.height, cfg.data.width), modality, half * 2)


def _loss(criterion: Any, output: Any) -> torch.Tensor:
    pids = torch.arange(8) // 2
    if criterion is None:  # torchreid's own cross-entropy, or that and its triplet loss
        logits = output if isinstance(output, torch.Tensor) else output[0]
        return torch.nn.functional.cross_entropy(logits, pids)
    total: torch.Tensor = criterion(output, pids)[0]
    return total
