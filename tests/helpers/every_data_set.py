"""Each data set of ours on disk, small, and a model of no weight to test on it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_triples import patches, write_small
from torch import nn

from promptreid import DATASETS, host
from promptreid.config import load_config
from promptreid.datasets import one_band
from promptreid.datasets.as_triples import SUFFIX
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.synthetic import write_tree

MODEL = "patch_colours"
STRIPS = {"rgbnt100": (128, 768), "rgbn300": (128, 512)}
CROSS_MODAL = {"sysu_mm01": "SYSU-MM01", "regdb": "RegDB", "llcm": "LLCM"}
MARKET = {
    "bounding_box_train": ["0002_c1s1_000451_03", "0002_c2s1_000776_01", "0007_c3s1_000000_01", "0007_c1s1_000001_01"],
    "query": [f"000{pid}_c1s1_001051_00" for pid in (1, 3, 4)],
    "bounding_box_test": [f"000{pid}_c{camera}s1_00000{camera}_01" for pid in (1, 3, 4) for camera in (1, 2, 3)],
}
#: torchreid's own data sets are alike for us: one stands for all of them
BUILT = [name for name in DATASETS if not name.endswith(SUFFIX) or name == f"market1501{SUFFIX}"]
BUILT.remove("table")  # has tests of its own
BUILT = [name for name in BUILT if not name.endswith(one_band.SUFFIX)]  # likewise


class PatchColours(nn.Module):
    """The colours of two by two patches of each of a sample's images, under which a linear layer mixes them."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.mix = nn.Linear(12, 12)
        self.classifier = nn.Linear(12, num_classes)

    def forward(self, inputs: Any) -> Any:
        images = inputs["images"] if isinstance(inputs, dict) else inputs[:, None]
        patches = nn.functional.adaptive_avg_pool2d(images.flatten(0, 1), 2).flatten(1)
        features = self.mix(patches).view(len(images), -1)
        return (self.classifier(features[:, :12]), features) if self.training else features


def build(num_classes: int, loss: str, pretrained: bool, use_gpu: bool) -> PatchColours:
    return PatchColours(num_classes)


def kind_of(name: str) -> str:
    """What lies on disk: several data sets read one tree."""
    return next((kind for kind in CROSS_MODAL if name.startswith(kind)), name.removesuffix("_dev"))


def write(name: str, root: Path) -> Path:
    """The tree of :func:`kind_of` below a root, with a few identities."""
    kind = kind_of(name)
    if kind in CROSS_MODAL:
        write_tree(kind, root / CROSS_MODAL[kind], ids=12, seed=3, frames=2, size=(32, 16))
    elif name.endswith(SUFFIX):
        draw = patches((16, 8))
        for split, stems in MARKET.items():
            folder = root / "market1501" / "Market-1501-v15.09.15" / split
            folder.mkdir(parents=True)
            for seed, stem in enumerate(stems):
                draw(folder / f"{stem}.jpg", seed + len(split))
    else:
        write_small(kind, root, patches(STRIPS.get(kind, (16, 8))))
    return root


def remove_train(name: str, root: Path) -> None:
    """Take away all that a data set which :func:`write` wrote has for training alone (RegDB: in its first split)."""
    kind = kind_of(name)
    if kind == "sysu_mm01":
        folder = root / CROSS_MODAL[kind]
        for ids in (folder / "exp" / "train_id.txt", folder / "exp" / "val_id.txt"):
            for pid in ids.read_text().split(","):
                for cell in folder.glob(f"cam*/{int(pid):04d}"):
                    shutil.rmtree(cell)
            ids.unlink()
    elif kind == "regdb":
        folder = root / CROSS_MODAL[kind]
        for side in ("visible", "thermal"):
            for line in (folder / "idx" / f"train_{side}_1.txt").read_text().splitlines():
                (folder / line.split()[0]).unlink()
        for ids in folder.glob("idx/train_*"):
            ids.unlink()
    elif kind == "llcm":
        for place in root.glob("LLCM/*/train_*"):
            place.unlink()
        for side in ("vis", "nir"):
            shutil.rmtree(root / "LLCM" / side)
    else:
        for place in [*root.rglob("test" if name.endswith("_dev") else "*train*")]:
            shutil.rmtree(place)


def config_of(name: str, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Any:
    """The configuration of a run on a data set that :func:`write` wrote, with random weights to test."""
    monkeypatch.setitem(host._MODELS, MODEL, build)
    cfg = load_config(
        None,
        overrides={
            "data.root": str(root),
            "data.sources": [name],
            "data.targets": [name],
            "data.height": 16,
            "data.width": 8,
            "data.workers": 0,
            "data.save_dir": str(folder),
            "loss.name": "triplet",
            "model.name": MODEL,
            "sampler.train_sampler": "RandomIdentitySampler",
            "sampler.num_instances": 2,
            "train.batch_size": 4,
            "test.batch_size": 7,
            **changes,
        },
    )
    torch.manual_seed(0)
    weights = build(2, "triplet", False, False).state_dict()
    checkpoint.save({"state_dict": weights, "epoch": 1}, folder / "model")
    return cfg
