"""Features in a file score like the run that trained the model, re-ranking included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from promptreid.config import load_config
from promptreid.evaluation import SYSUProtocol
from promptreid.evaluation.ranking.reranking import KReciprocal
from promptreid.retrieval.extraction import extract
from promptreid.runs.run import run

QUICKSTART = Path(__file__).parents[2] / "configs" / "mip" / "quickstart.yaml"
TINY = {
    "data.synthetic.like": "",
    "data.workers": 0,
    "data.height": 64,
    "data.width": 32,
    "backbone.vit.depth": 2,
    "backbone.vit.embed_dim": 24,
    "backbone.vit.num_heads": 2,
    "mip.prompt_length": 2,
    "backbone.stride": 8,
    "train.max_epoch": 1,
    "train.tensorboard.pictures": False,
    "train.warmup_epochs": 0,
    "train.batch_size": 16,
    "test.protocols": ["sysu-python all 1-shot"],
    "test.rerank": True,
}


@pytest.fixture(scope="module")
def cfg(sysu_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The configuration of a finished run."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    tree = load_config(QUICKSTART, overrides={**TINY, "data.root": str(sysu_root), "data.save_dir": str(folder)})
    run(tree)
    return tree


def test_extracted_features_score_like_the_run_and_re_rank_like_it(cfg: Any, sysu_root: Path) -> None:
    (printed,) = json.loads(Path(cfg.data.save_dir, "results-sysu_mm01.json").read_text())["results"]
    assert printed["protocol"] == "sysu-python all 1-shot + k-reciprocal(20,6,0.3)"
    table = extract(cfg)
    result = SYSUProtocol().evaluate(table.side("query"), table.side("gallery"), rerank=KReciprocal())
    assert result.mAP == pytest.approx(printed["mAP"], abs=1e-9)
    assert result.mAP != SYSUProtocol().evaluate(table.side("query"), table.side("gallery")).mAP


def test_every_image_has_its_labels(cfg: Any, sysu_root: Path) -> None:
    table = extract(cfg)
    assert table.modalities == (["infrared"], ["visible"])
    for path, pid, camid, split in zip(table.paths, table.pids, table.camids, table.split, strict=True):
        assert (sysu_root / path).is_file()
        assert path.split("/")[1:3] == [f"cam{camid + 1}", f"{pid:04d}"]
        assert split == ("query" if camid in (2, 5) else "gallery")
    torch.testing.assert_close(table.features.norm(dim=1), torch.ones(len(table.features)))


def test_refuses(cfg: Any, tmp_path: Path) -> None:
    changed = cfg.clone()
    changed.defrost()
    changed.data.targets = ["sysu_mm01", "regdb"]
    with pytest.raises(ValueError, match=r"data\.targets: .* choose one of"):
        extract(changed)
    changed.data.targets = ["sysu_mm01"]
    changed.data.save_dir = str(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="none"):
        extract(changed)
