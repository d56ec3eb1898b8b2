"""torchreid's own losses in our engine: the same bits as its two unmodified engines, and what theirs cannot do."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import differing, newest
from torch import Tensor, nn

from promptreid import host
from promptreid.engine.train_engine import PromptEngine
from promptreid.engine.update_step import StepOptions

torchreid = host.torchreid


class Heads(nn.Module):
    """Two linear heads on pooled pixels, which return what torchreid's models do."""

    def __init__(self, num_classes: int, loss: str, deep: bool) -> None:
        super().__init__()
        self.loss, self.deep = loss, deep
        self.body, self.dropout = nn.Linear(12, 8), nn.Dropout(0.5)
        self.classifier, self.second = nn.Linear(8, num_classes), nn.Linear(8, num_classes)

    def forward(self, images: Any) -> Any:
        pixels = images["images"][:, 0] if isinstance(images, dict) else images
        features = self.dropout(self.body(nn.functional.adaptive_avg_pool2d(pixels, (2, 2)).flatten(1)))
        if not self.training:
            return features
        logits = [self.classifier(features), self.second(features)] if self.deep else self.classifier(features)
        return logits if self.loss == "softmax" else (logits, features)


def manager_of(root: Path, **settings: Any) -> Any:
    return torchreid.data.ImageDataManager(
        root=str(root), sources="sysu_mm01", height=32, width=16, batch_size_train=16, batch_size_test=64,
        workers=0, num_instances=8, use_gpu=False, **settings,
    )  # fmt: skip


@pytest.fixture(scope="module")
def manager(small_root: Path) -> Any:
    return manager_of(small_root, train_sampler="RandomIdentitySampler")


def trained(
    engine_class: Any, manager: Any, outputs: str, deep: bool, **settings: Any
) -> tuple[dict[str, Tensor], Any]:
    """Weights after three steps, and what each step returned."""
    torch.manual_seed(0)
    model = Heads(manager.num_train_pids, outputs, deep)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    engine = engine_class(manager, model, optimizer, use_gpu=False, label_smooth=True, **settings)
    torch.manual_seed(1)
    batches = [batch for _, batch in zip(range(3), iter(manager.train_loader), strict=False)]
    engine.set_model_mode("train")
    torch.manual_seed(2)
    return model.state_dict(), [engine.forward_backward(batch) for batch in batches]


@pytest.fixture(autouse=True)
def same_batches(manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each engine sees the batches of the first."""
    kept = getattr(manager, "kept", None) or [batch for _, batch in zip(range(3), manager.train_loader, strict=False)]
    manager.kept = kept
    monkeypatch.setattr(manager, "train_loader", kept)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.7, 1.3), (0.0, 1.0), (1.0, 0.0)])
def test_triplet_steps_equal_torchreids(manager: Any, weights: tuple[float, float], deep: bool) -> None:
    settings = {"weight_t": weights[0], "weight_x": weights[1], "margin": 0.4}
    theirs = trained(torchreid.engine.ImageTripletEngine, manager, "triplet", deep, **settings)
    ours = trained(PromptEngine, manager, "triplet", deep, **settings)
    assert ours[1] == theirs[1]
    assert all(torch.equal(value, theirs[0][name]) for name, value in ours[0].items())


@pytest.mark.parametrize("deep", [False, True])
def test_softmax_steps_equal_torchreids(manager: Any, deep: bool) -> None:
    theirs = trained(torchreid.engine.ImageSoftmaxEngine, manager, "softmax", deep)
    ours = trained(PromptEngine, manager, "softmax", deep, loss="softmax")
    assert ours[1] == theirs[1]
    assert all(torch.equal(value, theirs[0][name]) for name, value in ours[0].items())


def test_what_torchreid_lacks_works_on_its_losses(manager: Any) -> None:
    plain, _ = trained(PromptEngine, manager, "triplet", False)
    steps = StepOptions(accumulation=2, clip_norm=0.1, amp=True)
    other, parts = trained(PromptEngine, manager, "triplet", False, steps=steps)
    assert [*parts[0]] == ["loss_t", "loss_x", "acc"]
    assert not torch.equal(plain["body.weight"], other["body.weight"])


def test_under_torchreids_own_data_manager_a_run_resumes_exactly_too(
    small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its samplers and augmentation draw from the global random states; batches that were done are drawn again."""

    def engine() -> PromptEngine:
        data = manager_of(small_root, train_sampler="RandomSampler", transforms=["random_flip", "random_crop"])
        torch.manual_seed(0)
        model = Heads(data.num_train_pids, "softmax", False)
        return PromptEngine(
            data, model, torch.optim.Adam(model.parameters(), 0.01), loss="softmax", use_gpu=False, seed=4
        )

    engine().run(save_dir=str(tmp_path / "whole"), max_epoch=2, ranks=[1])
    step, seen = PromptEngine.forward_backward, []

    def interrupted(self: PromptEngine, data: dict[str, Any]) -> dict[str, float]:
        seen.append(data)
        if len(seen) == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, data)

    monkeypatch.setattr(PromptEngine, "forward_backward", interrupted)
    with pytest.raises(SystemExit):
        engine().run(save_dir=str(tmp_path / "run"), max_epoch=2, ranks=[1])
    second = engine()
    assert second.resume(tmp_path / "run").step > 0
    second.run(save_dir=str(tmp_path / "run"), max_epoch=2, ranks=[1])
    assert differing(newest(tmp_path / "whole"), newest(tmp_path / "run")) == []


def test_an_unknown_loss_is_refused(manager: Any) -> None:
    model = Heads(3, "softmax", False)
    with pytest.raises(ValueError, match="loss 'contrastive' is none of softmax, triplet"):
        PromptEngine(manager, model, torch.optim.SGD(model.parameters(), 0.1), loss="contrastive", use_gpu=False)


def test_a_loss_that_is_not_finite_ends_training_with_the_names_of_its_files(manager: Any, tmp_path: Path) -> None:
    model = Heads(manager.num_train_pids, "triplet", False)
    engine = PromptEngine(manager, model, torch.optim.SGD(model.parameters(), 1e30), use_gpu=False)
    manager.train_loader[1]["img"]["images"][0] = float("nan")
    with pytest.raises(ValueError, match=r"the loss is nan in epoch 1, batch 2 \(its files: .*nonfinite-batch\.json\)"):
        engine.run(save_dir=str(tmp_path), max_epoch=1)
    record = json.loads((tmp_path / "nonfinite-batch.json").read_text())
    assert (record["epoch"], record["batch"], len(record["files"])) == (1, 2, 16)
    assert all(Path(file).is_file() for bundle in record["files"] for file in bundle.values())
    assert not list(tmp_path.rglob("model.pth.tar*"))
