"""torchreid's own engine on a DMPT: it trains the prompts, and the frozen tower stays as it was, bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchreid
from dmpt_models import tiny_dmpt
from host_data import manager

from promptreid.models.frozen import weights_digest


@pytest.fixture
def built(sysu_root: Path):
    data = manager(sysu_root)

    def build(seed: int = 0, **options):
        words = {"modalities": ("visible", "infrared"), "images_per_sample": 1}
        model = tiny_dmpt("triplet", seed=seed, classifier="single", alignment=False, **words, **options)
        model.classifier[0] = torch.nn.Linear(24, data.num_train_pids, bias=False)
        return model

    return data, build


@pytest.mark.parametrize("options", [{}, {"adapter": 3, "adapter_shared": False, "lora": 2}], ids=str)
def test_an_epoch_of_torchreids_triplet_engine_leaves_the_tower_alone(built, options, tmp_path: Path) -> None:
    data, build = built
    model = build(**options)
    before = weights_digest(model.backbone.module)
    start = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = torchreid.optim.build_optimizer(model, optim="adam", lr=0.01)
    scheduler = torchreid.optim.build_lr_scheduler(optimizer, stepsize=5)
    engine = torchreid.engine.ImageTripletEngine(data, model, optimizer, scheduler=scheduler, use_gpu=False)
    engine.run(save_dir=str(tmp_path), max_epoch=1, print_freq=100, ranks=[1])
    assert weights_digest(model.backbone.module) == before
    assert model.check_unchanged()
    trained = {name for name, value in model.named_parameters() if not torch.equal(value, start[name])}
    # One image per sample: nothing to exchange with, so only the bind prompts themselves are trained.
    assert set(start) - trained <= {name for name in start if name.startswith("bind.attentions")}

    checkpoint = tmp_path / "model" / "model.pth.tar-1"
    assert checkpoint.stat().st_size < 1e6
    again = build(**options)
    assert torchreid.utils.resume_from_checkpoint(str(checkpoint), again) == 1
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    for load in (
        torchreid.utils.load_pretrained_weights,
        lambda m, path: torchreid.utils.resume_from_checkpoint(path, m),
    ):
        with pytest.raises(RuntimeError, match="trained on other frozen weights"):
            load(build(seed=1, **options), str(checkpoint))
