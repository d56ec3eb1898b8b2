"""The unmodified engine of torchreid with our data and models, through ``import promptreid`` alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchreid
from host_data import manager

import promptreid  # noqa: F401  (this import is what makes the names below known)


def test_mip_trains_and_tests_under_the_triplet_engine(sysu_root: Path, tmp_path: Path, capsys) -> None:
    torch.manual_seed(0)
    data = manager(sysu_root)
    model = torchreid.models.build_model("mip_vit_tiny_patch16", num_classes=data.num_train_pids, loss="triplet")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torchreid.optim.build_optimizer(model, optim="sgd", lr=0.01)
    scheduler = torchreid.optim.build_lr_scheduler(optimizer, stepsize=5)
    engine = torchreid.engine.ImageTripletEngine(data, model, optimizer, scheduler=scheduler, use_gpu=False)
    engine.run(save_dir=str(tmp_path), max_epoch=1, print_freq=1, ranks=[1, 5])
    printed = capsys.readouterr().out
    assert "Rank-1" in printed
    assert "mAP" in printed
    untouched = [name for name, value in model.named_parameters() if torch.equal(value, before[name])]
    # Identity logits on the prompts (IAEL) are out of torchreid's reach; whatever it can train, it did.
    assert all(name.startswith(("prompt_head", "sie")) for name in untouched), untouched

    checkpoint = tmp_path / "model" / "model.pth.tar-1"
    again = torchreid.models.build_model("mip_vit_tiny_patch16", data.num_train_pids, "triplet", pretrained=False)
    assert torchreid.utils.resume_from_checkpoint(str(checkpoint), again) == 1
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_softmax_engine(sysu_root: Path) -> None:
    data = manager(sysu_root)
    model = torchreid.models.build_model("mip_vit_tiny_patch16", data.num_train_pids, loss="softmax", pretrained=False)
    engine = torchreid.engine.ImageSoftmaxEngine(data, model, torch.optim.SGD(model.parameters(), 0.01), use_gpu=False)
    model.train()
    summary = engine.forward_backward(next(iter(data.train_loader)))
    assert np.isfinite(summary["loss"])


def test_feature_extractor(sysu_root: Path) -> None:
    extractor = torchreid.utils.FeatureExtractor(
        "mip_vit_tiny_patch16", image_size=(64, 32), device="cpu", verbose=False
    )
    paths = [str(path) for path in sorted((sysu_root / "SYSU-MM01").rglob("*.jpg"))[:3]]
    assert extractor(paths).shape == (3, 5 * 192)


def test_multi_modal_tensor_of_one_modality_is_accepted() -> None:
    model = torchreid.models.build_model("mip_vit_tiny_patch16", 4, pretrained=False).eval()
    with torch.no_grad():
        images = torch.rand(2, 3, 64, 32)
        assert torch.equal(model(images), model(images[:, None]))


def test_unknown_names_are_refused_by_torchreid(sysu_root: Path) -> None:
    with pytest.raises(KeyError, match="Unknown model"):
        torchreid.models.build_model("mip_vit_huge", 4)
    with pytest.raises(ValueError, match="Invalid dataset name"):
        torchreid.data.ImageDataManager(root=str(sysu_root), sources="sysu_mm02")
