"""One key at several values."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from small_runs import small_config

from promptreid.runs.splits_and_seeds import SCORES
from promptreid.runs.sweep import sweep


def test_each_value_is_trained_with_each_seed_and_tabulated(sysu_root: Path, tmp_path: Path) -> None:
    cfg = small_config(sysu_root, tmp_path / "sweep", **{"train.max_epoch": 1, "train.warmup_epochs": 0})
    summaries = sweep(cfg, "mip.prompt_length", ["1", "3"], seeds=2)
    assert list(summaries) == ["1", "3"]
    for value in ("1", "3"):
        run = tmp_path / "sweep" / f"mip.prompt_length={value}" / "seed-1"
        assert f"prompt_length: {value}" in (run / "config.yaml").read_text()
    with (tmp_path / "sweep" / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    protocol = "sysu-python indoor 1-shot"
    assert [row["mip.prompt_length"] for row in rows] == ["1", "3"]
    assert [float(row["mAP_mean"]) for row in rows] == [summaries[value][protocol]["mAP"]["mean"] for value in "13"]
    assert json.loads((tmp_path / "sweep" / "sweep.json").read_text())["results"] == summaries
    text = (tmp_path / "sweep" / "sweep.md").read_text()
    assert f"| 3 | {100 * summaries['3'][protocol]['rank1']['mean']:.2f} ± " in text
    written = sorted(path.stat().st_mtime_ns for path in (tmp_path / "sweep").rglob("results-*.json"))
    assert sweep(cfg, "mip.prompt_length", ["1", "3"], seeds=2) == summaries
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "sweep").rglob("results-*.json")) == written


def test_overwriting_moves_the_folder_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"p": {score: {"mean": 0.5, "sd": 0.0} for score in SCORES}}
    monkeypatch.setattr("promptreid.runs.sweep.run_several", lambda cfg, seeds: found)
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "earlier").touch()
    cfg = small_config(tmp_path, tmp_path / "sweep")
    sweep(cfg, "mip.prompt_length", ["1", "3"])
    assert (tmp_path / "sweep" / "earlier").exists() and not (tmp_path / "sweep.1").exists()
    sweep(cfg, "mip.prompt_length", ["1", "3"], overwrite=True)
    assert (tmp_path / "sweep.1" / "earlier").exists()
    assert [path.name for path in sorted((tmp_path / "sweep").iterdir())] == ["sweep.csv", "sweep.json", "sweep.md"]


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("mip.prompt_lengths", ["1", "2"], "did you mean 'mip.prompt_length'"),
        ("mip.prompt_length", ["1", "x"], "mip.prompt_length"),
        ("mip.prompt_length", ["1"], "at least two"),
        ("mip.prompt_length", ["1", "1"], "each once"),
    ],
)
def test_what_makes_no_sweep_is_refused_before_training(
    sysu_root: Path, tmp_path: Path, key: str, values: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        sweep(small_config(sysu_root, tmp_path / "sweep"), key, values)
    assert not (tmp_path / "sweep").exists()
