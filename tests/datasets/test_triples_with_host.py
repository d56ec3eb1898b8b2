"""The unmodified data manager, engine and evaluator of torchreid print the numbers of our protocols."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchreid
from fake_triples import patches, write_small
from PIL import Image

from promptreid import ModalBatch
from promptreid.evaluation import FeatureSet

SIZES = {"rgbnt201": (16, 8), "rgbnt100": (128, 768), "msvr310": (8, 16), "market_mm": (16, 8), "rgbn300": (128, 512)}


class MeanColours(torch.nn.Module):
    """The mean colours of a sample's images, one after the other."""

    def __init__(self, num_classes: int, modalities: int) -> None:
        super().__init__()
        self.classifier = torch.nn.Linear(3 * modalities, num_classes)

    def forward(self, batch: ModalBatch) -> torch.Tensor:
        features = batch["images"].mean(dim=(-2, -1)).flatten(1)
        return self.classifier(features) if self.training else features


def manager(name: str, root: Path, **kwargs: Any) -> torchreid.data.ImageDataManager:
    settings = {"height": 16, "width": 8, "batch_size_train": 4, "workers": 0, "use_gpu": False, **kwargs}
    return torchreid.data.ImageDataManager(root=str(root), sources=name, **settings)


@pytest.mark.parametrize("name", SIZES)
def test_same_numbers(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_small(name, tmp_path, patches(SIZES[name]))
    data = manager(name, tmp_path)
    loaders = data.test_loader[name]
    dataset = loaders["query"].dataset
    model = MeanColours(data.num_train_pids, dataset.images_per_sample)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scheduler = torchreid.optim.build_lr_scheduler(optimizer)
    engine = torchreid.engine.ImageSoftmaxEngine(data, model, optimizer, scheduler=scheduler, use_gpu=False)
    engine.run(max_epoch=1, print_freq=100, save_dir=str(tmp_path / "log"))  # trains, then tests
    model.eval()
    rank1, mean_ap = engine._evaluate(dataset_name=name, query_loader=loaders["query"],
                                      gallery_loader=loaders["gallery"], save_dir=str(tmp_path))  # fmt: skip
    (protocol,) = dataset.protocols
    result = protocol.evaluate(*(features(model, loader) for loader in loaders.values()))
    assert result.num_invalid == 0
    assert 0.1 < result.rank(1) < 1
    assert rank1 == pytest.approx(result.rank(1))
    assert mean_ap == pytest.approx(result.mAP)
    printed = capsys.readouterr().out
    assert re.findall(r"^mAP: (.*)%$", printed, re.MULTILINE) == [f"{result.mAP:.1%}"[:-1]] * 2
    assert re.findall(r"^Rank-1  : (.*)%$", printed, re.MULTILINE) == [f"{result.rank(1):.1%}"[:-1]] * 2


@torch.no_grad()
def features(model: torch.nn.Module, loader: Any) -> FeatureSet:
    """In one piece, with the scenes that the names give."""
    items = [loader.dataset[index] for index in range(len(loader.dataset))]
    batch = torch.utils.data.default_collate([item["img"] for item in items])
    assert isinstance(batch, ModalBatch)
    labels = [[item[key] for item in items] for key in ("pid", "camid")]
    return FeatureSet(model(batch), *labels, [item["impath"].labels.get("scene", 0) for item in items])


@pytest.mark.parametrize("name", ["rgbnt201", "rgbnt100"])
def test_each_modality_gets_its_own_pixels(name: str, tmp_path: Path) -> None:
    """The means of a sample's images, from its files opened by hand."""
    folder = write_small(name, tmp_path, patches(SIZES[name]))
    loader = manager(name, tmp_path, norm_mean=[0.0] * 3, norm_std=[1.0] * 3).test_loader[name]["query"]
    item = loader.dataset[3]
    if name == "rgbnt201":
        images = [Image.open(folder / "test" / side / Path(item["impath"]).name) for side in ("RGB", "NI", "TI")]
    else:
        strip = Image.open(item["impath"])
        images = [strip.crop((left, 0, left + 256, 128)) for left in (0, 256, 512)]
    expected = [np.asarray(image.resize((8, 16), Image.Resampling.BILINEAR)) / 255 for image in images]
    assert item["img"]["images"].permute(0, 2, 3, 1).numpy() == pytest.approx(np.stack(expected), abs=1e-6)
    assert item["img"]["modality"].tolist() == [0, 1, 2]
