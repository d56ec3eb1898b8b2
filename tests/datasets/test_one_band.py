"""Triples as samples of one image: trained on by what visible-infrared data are trained by, tested pair by pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_triples import patches, write_small

from promptreid import DATASETS
from promptreid.config import load_config
from promptreid.datasets.registry import TRIPLES
from promptreid.engine.modality_sides import ModalitySides
from promptreid.evaluation import FeatureSet
from promptreid.evaluation.protocols import MarketProtocol
from promptreid.runs.load_trained import open_target, trained_engine
from promptreid.runs.run import run
from promptreid.synthetic import write_tree

ROOT = Path(__file__).parents[2]
SMALL = {
    "data.workers": 0, "data.height": 32, "data.width": 16, "backbone.vit.depth": 2, "backbone.vit.embed_dim": 16,
    "backbone.vit.num_heads": 2, "mip.prompt_length": 2, "backbone.stride": 4, "model.pretrained": False,
    "train.tensorboard.pictures": False,
    "train.max_epoch": 1, "train.warmup_epochs": 0, "sampler.num_instances": 6, "train.batch_size": 18,
    "train.eval_freq": -1, "model.name": "mip_vit_tiny_patch16",
}  # fmt: skip
STRIPS = {"rgbnt100": (128, 768), "rgbn300": (128, 512)}


@pytest.fixture(scope="module")
def cfg(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The configuration of a finished training on the bands of a rendered RGBNT201."""
    folder = tmp_path_factory.mktemp("bands")
    # By daylight: dark pictures lie so close together that a distance's last bit decides their order.
    write_tree("rgbnt201", folder / "RGBNT201", ids=24, seed=3, frames=2, size=(32, 16), renderer=1)
    overrides = {key: value for key, value in SMALL.items() if key != "train.eval_freq"}
    overrides |= {"data.root": str(folder), "data.save_dir": str(folder / "run")}
    tree = load_config(ROOT / "configs" / "mip" / "rgbnt201_bands.yaml", overrides=overrides)
    run(tree)
    return tree


def test_each_image_is_a_sample_with_the_labels_of_its_triple(cfg: Any) -> None:
    whole, bands = (DATASETS[name](root=cfg.data.root, verbose=False) for name in ("rgbnt201", "rgbnt201_bands"))
    for split in ("train", "query", "gallery"):
        triples, images = getattr(whole, split), getattr(bands, split)
        assert len(images) == 3 * len(triples)
        for number, (path, pid, camid, _) in enumerate(images):
            triple = triples[number // 3]
            name = whole.modalities[number % 3]
            assert path.paths == {name: triple[0].paths[name]}
            assert (pid, camid, path.camera, path.labels) == (*triple[1:3], triple[0].camera, triple[0].labels)
            assert bands.modality_of(path) == number % 3
    assert bands.num_cameras == whole.num_cameras
    assert [protocol.name for protocol in bands.protocols][:2] == [
        "rgbnt201 visible-to-near_infrared",
        "rgbnt201 visible-to-thermal_infrared",
    ]


@torch.no_grad()
def test_a_run_prints_every_pair_as_a_slow_twin_ranks_it(cfg: Any) -> None:
    (printed,) = run(cfg, eval_only=True).values()
    assert len(printed) == 6
    datamanager, target = open_target(cfg)
    engine = trained_engine(cfg, datamanager)
    loaders = engine.test_loader[target]
    sides = {split: engine.features_of(loaders[split], True, split) for split in ("query", "gallery")}
    names = {split: [next(iter(record[0].paths)) for record in loaders[split].dataset.data] for split in sides}
    for result in printed:
        first, second = result.protocol.split(" ")[1].split("-to-")
        query, gallery = (
            sides[split].select(np.flatnonzero(np.array(names[split]) == name))
            for split, name in (("query", first), ("gallery", second))
        )
        again = MarketProtocol(result.protocol).evaluate(query, gallery)
        assert (again.rank(1), again.mAP, again.mINP) == pytest.approx((result.rank(1), result.mAP, result.mINP))
        assert result.mAP == pytest.approx(slow_map(query, gallery), abs=1e-6)


def slow_map(query: FeatureSet, gallery: FeatureSet) -> float:
    """Mean average precision, one query after the other; its own identity in its own camera is not seen."""
    found = []
    for feature, pid, camid in zip(query.features, query.pids, query.camids, strict=True):
        seen = ~((gallery.pids == pid) & (gallery.camids == camid))
        distance = ((gallery.features[torch.from_numpy(seen)] - feature) ** 2).sum(1).numpy()
        right = (gallery.pids[seen] == pid)[np.argsort(distance, kind="stable")]
        if right.any():
            precision = np.cumsum(right) / np.arange(1, len(right) + 1)
            found.append(float(precision[right].mean()))
    return float(np.mean(found))


@pytest.mark.parametrize("name", sorted(TRIPLES))
def test_every_set_of_triples_has_its_bands(name: str, tmp_path: Path) -> None:
    write_small(name.removesuffix("_dev"), tmp_path, patches(STRIPS.get(name, (16, 8))))
    whole, bands = (DATASETS[f"{name}{end}"](root=str(tmp_path), verbose=False) for end in ("", "_bands"))
    images = sum(len([file for file in path.paths.values() if file]) for path, *_ in whole.query)
    assert len(bands.query) == images
    assert len(bands.protocols) == len(whole.modalities) * (len(whole.modalities) - 1)
    assert {protocol.protocol.rule for protocol in bands.protocols} == {whole.protocols[0].rule}
    assert bands.split == whole.split


def test_samples_without_a_band_are_kept_where_asked(tmp_path: Path) -> None:
    write_small("rgbnt201", tmp_path, patches((16, 8)))
    gone = sorted((tmp_path / "RGBNT201" / "test" / "NI").iterdir())[0]
    gone.unlink()
    skip, keep = (
        DATASETS["rgbnt201_bands"](root=str(tmp_path), incomplete=how, verbose=False) for how in ("skip", "keep")
    )
    assert len(keep.query) == len(skip.query) + 2


def test_parts_of_a_descriptor_are_no_matter_where_a_sample_is_one_image(cfg: Any) -> None:
    """MIP would give three slices for three modalities; a descriptor of one image has none."""
    datamanager, target = open_target(cfg)
    engine = trained_engine(cfg, datamanager)
    sides = ModalitySides(engine.model, engine.test_loader[target], True, engine.features_of)
    assert sides._slices is None


def test_missing_modalities_say_what_to_do_instead(cfg: Any) -> None:
    from promptreid.runs.missing_modalities import evaluate_missing

    with pytest.raises(ValueError, match="image of one modality"):
        evaluate_missing(cfg)
