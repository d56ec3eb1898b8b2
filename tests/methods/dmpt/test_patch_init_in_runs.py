"""The key ``dmpt.prompt_init``: resolved once, from the training data, before a training that starts anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from dmpt_models import tiny_dmpt

from promptreid.config import load_config
from promptreid.engine.checkpoints.random_state import seed_everything
from promptreid.runs import run as whole
from promptreid.runs.build import build_datamanager, start_from_data, training_samples


def config(root: Path, **changes: Any) -> Any:
    folder = {"data.root": str(root), "data.sources": ["sysu_mm01"], "data.targets": ["sysu_mm01"], "data.workers": 0}
    images = {"data.height": 64, "data.width": 32, "train.batch_size": 8}
    model = {"model.name": "dmpt_clip_tiny", "model.pretrained": False, "dmpt.preset": "dmpt_s"}
    loss = {"loss.name": "prompt", "loss.prompt.weight_t": 0.0}
    return load_config(overrides={**folder, **images, **model, **loss, "dmpt.prompt_init": "patches", **changes})


def started(data: Any, root: Path, **changes: Any) -> torch.Tensor:
    model = tiny_dmpt(modalities=("visible", "infrared"), images_per_sample=1, words=False, alignment=False)
    start_from_data(model, config(root, **changes), data)
    return model.semantic_prompts.prompts.detach()


def test_it_is_a_function_of_the_seed_and_draws_from_no_generator_of_the_run(sysu_root: Path) -> None:
    data = build_datamanager(config(sysu_root), use_gpu=False)
    plain, one = started(data, sysu_root, **{"dmpt.prompt_init": "normal"}), started(data, sysu_root)
    assert torch.equal(one, started(data, sysu_root))
    batch = training_samples(data, 1, 8)
    assert batch["images"].shape == (8, 1, 3, 64, 32)
    assert not torch.equal(batch["images"], training_samples(data, 2, 8)["images"])
    seed_everything(5)
    state = torch.get_rng_state()
    training_samples(data, 1, 8)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(one, started(data, sysu_root, **{"train.seed": 2}))
    assert not torch.equal(one, plain)


@pytest.mark.parametrize(("eval_only", "source", "calls"), [(False, None, 1), (True, None, 0), (False, Path("a"), 0)])
def test_only_a_training_that_starts_anew_asks_for_it(
    eval_only: bool, source: Path | None, calls: int, sysu_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(whole, "start_from_data", lambda model, cfg, data: asked.append(model))
    monkeypatch.setattr(whole, "_restore", lambda *_: None)
    cfg = config(sysu_root, **{"data.save_dir": str(tmp_path)})
    monkeypatch.setattr(whole, "trained_data", lambda cfg: None)
    whole._loaded_engine(cfg, whole.RunFolder(tmp_path), eval_only, source)
    assert len(asked) == calls
