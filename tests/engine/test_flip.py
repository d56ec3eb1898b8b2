"""Descriptors averaged over an image and its mirror image, wherever features are extracted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from every_data_set import build, config_of, write
from torch import Tensor
from torch.nn import functional as F

from promptreid.data.batch import ModalBatch
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.feature_extraction import mirrored
from promptreid.retrieval.extraction import extract
from promptreid.runs.build import build_datamanager
from promptreid.runs.missing_modalities import evaluate_missing
from promptreid.runs.run import run


def by_hand(cfg: Any, name: str, normalize: bool) -> Tensor:
    """One sample after the other, its mirror image made by reversing every row of pixels."""
    model = build(2, "triplet", False, False)
    model.load_state_dict(checkpoint.load_newest(Path(cfg.data.save_dir) / "model")[1]["state_dict"])
    model.eval()
    found = []
    for loader in build_datamanager(cfg, False).test_loader[name].values():
        for index in range(len(loader.dataset)):
            images = loader.dataset[index]["img"]["images"].numpy()
            both = [torch.from_numpy(pixels.copy())[None] for pixels in (images, images[..., ::-1])]
            with torch.no_grad():
                there, back = (model({"images": pixels})[0] for pixels in both)
            found.append((there + back) / 2)
    stacked = torch.stack(found)
    return F.normalize(stacked, dim=1) if normalize else stacked


@pytest.mark.parametrize("name", ["sysu_mm01", "rgbnt201", "rgbnt100"])
@pytest.mark.parametrize("normalize", [True, False])
def test_equals_one_image_after_the_other(
    name: str, normalize: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"test.flip": True, "test.normalize_feature": normalize}
    cfg = config_of(name, write(name, tmp_path), tmp_path / "run", monkeypatch, **changes)
    table = extract(cfg)
    torch.testing.assert_close(table.features, by_hand(cfg, name, normalize), atol=2e-6, rtol=1e-5)
    cfg.defrost()
    cfg.test.flip = False
    assert (extract(cfg).features - table.features).abs().max() > 1e-3


def test_the_run_and_the_missing_modalities_use_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write("rgbnt201", tmp_path)
    results = {}
    for flip in (True, False):
        cfg = config_of("rgbnt201", root, tmp_path / f"run-{flip}", monkeypatch, **{"test.flip": flip})
        ((result,),) = run(cfg, eval_only=True).values()
        table = extract(cfg)
        again = result.as_dict()
        assert evaluate_missing(cfg).results["full"].as_dict() == {**again, "note": "full; 60 of 836 test samples"}
        results[flip] = again, table.features
        saved = json.loads((tmp_path / f"run-{flip}" / "results-rgbnt201.json").read_text())
        assert saved.get("flip", False) is flip
    assert results[True][0] != results[False][0]


def test_re_ranking_follows_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write("rgbnt201", tmp_path)
    changes = {"test.rerank": True, "test.rerank_distances": "plain"}
    cfg = config_of("rgbnt201", root, tmp_path / "run", monkeypatch, **changes)
    ((result,),) = run(cfg, eval_only=True).values()
    assert result.protocol == "rgbnt201 + k-reciprocal(20,6,0.3,plain)"
    assert evaluate_missing(cfg).results["full"].protocol == result.protocol


def test_all_images_of_a_batch_are_mirrored_and_nothing_else() -> None:
    images = torch.arange(2 * 3 * 3 * 4 * 5.0).view(2, 3, 3, 4, 5)
    present = torch.tensor([[True, False, True], [True, True, True]])
    batch = ModalBatch.of(images, torch.tensor([[0, 1, 2]] * 2), torch.tensor([4, 5]), present)
    turned = mirrored(batch)
    assert isinstance(turned, ModalBatch)
    assert np.array_equal(turned["images"].numpy(), images.numpy()[..., ::-1])
    for field in ("modality", "camera", "present"):
        assert torch.equal(turned[field], batch[field])
    assert torch.equal(mirrored(mirrored(batch))["images"], images)
    assert torch.equal(mirrored(images[:, 0]), images[:, 0].flip(-1))
