"""A small table from nothing to its files, called twice, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from promptreid.runs.splits_and_seeds import run_several
from promptreid.runs.tables import rows as table_runs
from promptreid.runs.tables.definitions import DMPT_S, RGBNT, TABLES
from promptreid.runs.tables.places import Places, Size
from promptreid.runs.tables.render import ResultTable
from promptreid.runs.tables.run_table import run_table
from promptreid.runs.tables.table import Row, Table

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
ZERO_SHOT = TABLES["baselines_rgbnt"].rows[0]
PLAIN = Table("toy", "A toy", (ZERO_SHOT, DMPT_S), reference=DMPT_S.key, note="A note.")
MISSING = Table("toy_missing", "Without", (replace(DMPT_S, name="prompts"),), missing=True)


def run(table: Table, out: Path, seeds: int, opts: list[str], **more: Any) -> ResultTable:
    return run_table(table, Places(CONFIGS, out, out / "results"), Size(seeds), opts, **more)


@pytest.fixture(scope="module")
def opts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Trainings of a second."""
    from promptreid.synthetic import write_tree

    root = tmp_path_factory.mktemp("worlds")
    write_tree("rgbnt201", root / "RGBNT201", ids=14, seed=3, frames=2, size=(32, 16))
    keys = {
        "data.root": root, "data.synthetic.like": "", "data.height": 32, "data.width": 16, "data.workers": 0,
        "train.max_epoch": 1, "train.warmup_epochs": 0, "train.batch_size": 8, "model.name": "dmpt_clip_tiny",
        "backbone.name": "", "model.pretrained": False,
    }  # fmt: skip
    return [str(part) for pair in keys.items() for part in pair]


@pytest.fixture(scope="module")
def done(opts: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ResultTable]:
    out = tmp_path_factory.mktemp("tables")
    return out, run(PLAIN, out, 2, opts)


def results(out: Path, *parts: str) -> dict[str, Any]:
    (file,) = (out / "runs" / "synth_rgbnt").joinpath(*parts).glob("results-*.json")
    return json.loads(file.read_text())


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def times(out: Path) -> dict[Path, int]:
    files = [file for pattern in ("results-*.json", "*per-query.csv", "missing-*.json") for file in out.rglob(pattern)]
    return {file: file.stat().st_mtime_ns for file in files}


def test_the_files_say_what_the_runs_say(done: tuple[Path, ResultTable]) -> None:
    out, _ = done
    untrained, trained = rows_of(out / "toy" / "table.csv")
    runs = [results(out, "dmpt_s", f"seed-{seed}")["results"][0] for seed in (1, 2)]
    found = np.array([[run["mAP"], run["rank"]["1"]] for run in runs])
    assert [float(trained[f"{name}_mean"]) for name in ("mAP", "rank1")] == pytest.approx(found.mean(axis=0).tolist())
    assert [float(trained[f"{name}_sd"]) for name in ("mAP", "rank1")] == pytest.approx(
        found.std(axis=0, ddof=1).tolist()
    )
    assert (trained["runs"], trained["selection"], trained["protocol"]) == ("2", "last", "rgbnt201")
    text = (out / "toy" / "table.md").read_text()
    mean, sd = 100 * found.mean(axis=0), 100 * found.std(axis=0, ddof=1)
    assert f"| S | {mean[0]:.1f} ± {sd[0]:.1f} | {mean[1]:.1f} ± {sd[1]:.1f} | – | – | – | " in text
    assert "A note." in text and "train.max_epoch 1" in text
    record = json.loads((out / "toy" / "table.json").read_text())
    assert record["lines"][1]["scores"]["mAP"]["mean"] == pytest.approx(found.mean(axis=0)[0])
    assert record["lines"][0]["cost"]["step_ratio"] is None
    assert Image.open(out / "toy" / "table.png").width == 1000


def test_the_gain_is_over_the_reference_and_inside_its_interval(done: tuple[Path, ResultTable]) -> None:
    out, table = done
    untrained, trained = table.lines
    assert trained.effect is None and trained.against is None
    assert untrained.against is trained.row and untrained.effect is not None
    gain = untrained.scores["mAP"]["mean"] - trained.scores["mAP"]["mean"]
    assert untrained.effect.difference == pytest.approx(gain, abs=1e-6)
    assert untrained.effect.interval.low < gain < untrained.effect.interval.high
    for seed in (1, 2):
        rows = rows_of(out / "runs" / "synth_rgbnt" / "dmpt_s" / f"seed-{seed}" / "per-query.csv")
        result = results(out, "dmpt_s", f"seed-{seed}")["results"][0]
        assert len(rows) == result["num_valid"]
        assert np.mean([float(row["AP"]) for row in rows]) == pytest.approx(result["mAP"], abs=1e-6)


def test_a_row_that_is_not_trained_is_tested_once_and_costs_nothing(done: tuple[Path, ResultTable]) -> None:
    out, table = done
    assert results(out, "zero_shot")["selection"] == "untrained"
    assert not list((out / "runs" / "synth_rgbnt" / "zero_shot").rglob("*.pth.tar*"))
    line = table.lines[0]
    assert (line.runs, line.cost.trained, line.scores["mAP"]["sd"]) == (1, 0, 0.0)
    assert np.isnan(table.step_ratio(line))
    assert f"| {ZERO_SHOT.name} | {100 * line.scores['mAP']['mean']:.1f} | " in (out / "toy" / "table.md").read_text()


def test_costs_are_those_of_the_row(done: tuple[Path, ResultTable]) -> None:
    line = done[1].lines[1]
    # 4 blocks x 8 prompts x 96, the head's scale 3 x 64, and a classifier on it
    people = line.cost.trained - 4 * 8 * 96 - 3 * 64
    assert people % (3 * 64) == 0 and 4 <= people // (3 * 64) <= 14
    assert done[1].step_ratio(line) == 1.0
    assert 1e3 < line.cost.kept < 1e6


def test_a_second_call_trains_and_tests_nothing(
    done: tuple[Path, ResultTable], opts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, table = done
    before = times(out)
    monkeypatch.setattr(table_runs, "_test", None)
    assert run(PLAIN, out, 2, opts).as_dict() == table.as_dict()
    assert times(out) == before


def test_what_is_missing_is_made_and_nothing_else(
    done: tuple[Path, ResultTable], opts: list[str], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(done[0], tmp_path / "tables"))
    before = times(out)
    gone = out / "runs" / "synth_rgbnt" / "dmpt_s" / "seed-2"
    shutil.rmtree(gone)
    again = run(PLAIN, out, 2, opts)
    after = times(out)
    assert {file for file in before if before[file] != after[file]} == {file for file in before if gone in file.parents}
    scores = [line.scores for line in again.lines]
    assert scores == [line.scores for line in done[1].lines]  # same seed, same bits


def test_scores_of_queries_that_are_older_than_the_results_are_made_again(
    done: tuple[Path, ResultTable], opts: list[str], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(done[0], tmp_path / "tables"))
    file = out / "runs" / "synth_rgbnt" / "dmpt_s" / "seed-1" / "per-query.csv"
    text = file.read_text()
    file.write_text(text.replace("0.", "0.9", 1))
    os.utime(file, (0, 0))
    run(PLAIN, out, 2, opts)
    assert file.read_text() == text


def test_missing_modalities_of_the_same_runs(done: tuple[Path, ResultTable], opts: list[str], tmp_path: Path) -> None:
    out = Path(shutil.copytree(done[0], tmp_path / "tables"))
    trainings = {file: time for file, time in times(out).items() if file.name.startswith("results")}
    table = run(MISSING, out, 2, opts)
    assert trainings.items() <= times(out).items()
    by_condition = {line.condition: line for line in table.lines}
    names = ["full", "M(RGB)", "M(NIR)", "M(TIR)", "M(RGB+NIR)", "M(RGB+TIR)", "M(NIR+TIR)", "mean"]
    assert list(by_condition) == names
    assert by_condition["full"].scores["mAP"] == pytest.approx(done[1].lines[1].scores["mAP"])
    for name in ("mAP", "rank1"):
        six = [by_condition[condition].scores[name]["mean"] for condition in names[1:7]]
        assert by_condition["mean"].scores[name]["mean"] == pytest.approx(np.mean(six))
    text = (out / "toy_missing" / "table.md").read_text()
    assert f"| mAP, rgbnt201 | {' | '.join(names)} |\n|---|{'---:|' * 8}\n| prompts | " in text
    assert [row["condition"] for row in rows_of(out / "toy_missing" / "table.csv")] == names
    before = times(out)
    assert run(MISSING, out, 2, opts).as_dict() == table.as_dict()
    assert times(out) == before


def test_runs_of_another_configuration_are_refused_before_training(
    done: tuple[Path, ResultTable], opts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_runs, "complete", None)
    for key, old, new in (("train.lr", "0.005", "0.5"), ("data.synthetic.seed", "11", "8")):
        message = rf"zero_shot holds a run of another configuration \({key}: {old}, now {new}\); choose another --out"
        with pytest.raises(ValueError, match=message):
            run(PLAIN, done[0], 2, [*opts, key, new])


def test_overwriting_moves_the_runs_of_these_rows_aside(
    done: tuple[Path, ResultTable], opts: list[str], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(done[0], tmp_path / "tables"))
    runs, kept = out / "runs" / "synth_rgbnt", results(out, "dmpt_s", "seed-1")
    old, other = results(out, ZERO_SHOT.key), [*opts, "data.height", "48"]
    table = replace(PLAIN, rows=(ZERO_SHOT,), reference="")
    with pytest.raises(ValueError, match="moved aside with --overwrite"):
        run(table, out, 2, other)
    run(table, out, 2, other, overwrite=True)
    assert results(out, f"{ZERO_SHOT.key}.1") == old and results(out, ZERO_SHOT.key) != old
    assert results(out, "dmpt_s", "seed-1") == kept
    assert sorted(path.name for path in runs.iterdir()) == ["dmpt_s", ZERO_SHOT.key, f"{ZERO_SHOT.key}.1"]


@pytest.mark.parametrize(
    ("row", "more", "seeds", "message"),
    [
        (DMPT_S, [], 0, "--seeds 0"),
        (DMPT_S, ["data.save_dir", "x"], 1, "say where with --out"),
        (DMPT_S, ["train.lrr", "1"], 1, "did you mean 'train.lr'"),
        (DMPT_S, ["train.lr", "-1"], 1, "row 'S': train.lr -1"),
        (Row("a", "b", RGBNT, {"dmpt.presets": "x"}), [], 1, "did you mean 'dmpt.preset'"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_once(
    tmp_path: Path, row: Row, more: list[str], seeds: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(replace(PLAIN, rows=(row,)), tmp_path, seeds, more)
    assert not list(tmp_path.iterdir())


def test_what_a_row_is_about_wins_over_the_options(tmp_path: Path) -> None:
    cfg = table_runs.row_config(DMPT_S, CONFIGS, tmp_path, ["dmpt.preset", "dmpt", "train.lr", "0.1"])
    assert (cfg.dmpt.preset, cfg.train.lr) == ("dmpt_s", 0.1)


def test_runs_are_those_of_several_seeds(done: tuple[Path, ResultTable], opts: list[str], tmp_path: Path) -> None:
    """A row's training is the one that train_net.py --seeds makes."""
    cfg = table_runs.row_config(DMPT_S, CONFIGS, tmp_path, opts)
    summary = run_several(cfg, seeds=2)
    assert summary["rgbnt201"]["mAP"] == done[1].lines[1].scores["mAP"]
