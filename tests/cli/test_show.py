"""The command line that draws, end to end on a run of a second."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import promptreid
from PIL import Image
from small_runs import small_config

from promptreid.cli import choices
from promptreid.runs.run import run
from promptreid.visual.choice import chosen_queries, disagreeing, rank_rows, samples_of_every_band
from promptreid.visual.figures import WIDTHS
from promptreid.visual.projection import METHODS
from promptreid.visual.show import KINDS, distances_of, inspected
from promptreid.visual.trained_run import TrainedRun, open_run


@pytest.fixture(scope="module")
def folder(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has ended."""
    path = tmp_path_factory.mktemp("run")
    run(small_config(small_root, path, **{"train.max_epoch": 1, "train.warmup_epochs": 0}))
    return path


@pytest.fixture(scope="module")
def opened(folder: Path) -> TrainedRun:
    return open_run(folder)


@pytest.mark.parametrize(
    "words",
    [
        ["ranks", "--topk", "3"],
        ["embedding", "--method", "pca", "--count", "all", "--without", "instance"],
        ["attention", "--layer", "all"],
        ["distances", "--width", "page"],
        ["batch", "--count", "3"],
        ["prompts"],
    ],
    ids=lambda words: words[0],
)
def test_every_kind_is_drawn(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert promptreid("show", words[0], folder, *words[1:]) == 0
    path = folder / "figures" / f"{words[0]}.png"
    assert capsys.readouterr().out.splitlines()[-1] == str(path)
    assert Image.open(path).width == pytest.approx(WIDTHS["page"] / 25.4 * 300, abs=2)
    assert promptreid("show", words[0], folder) == 2
    assert f"{path} exists; give --overwrite" in capsys.readouterr().err


def test_two_runs_and_given_queries(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "two.svg"
    assert promptreid("show", "ranks", folder, "--against", folder, "--count", "1", "--out", out) == 0
    assert out.read_text().count("first match at rank") == 2


def test_lists_are_in_the_evaluator_s_order_under_its_rule(opened: TrainedRun) -> None:
    """From the marks alone, the average precision of each query of the first trial."""
    ranks = opened.results.ranks[0]
    rows = list(range(len(ranks.first)))
    for number, row in enumerate(rank_rows(opened, rows, 10_000)):
        found = np.flatnonzero([shown.right for shown in row.gallery])
        if ranks.num_matches[number]:
            precision = float(np.mean(np.arange(1, len(found) + 1) / (found + 1)))
            assert precision == pytest.approx(float(ranks.average_precision[number]), abs=1e-9)
            assert f"AP {100 * precision:.1f} %" in row.title
        else:
            assert not len(found)


def test_which_queries(opened: TrainedRun) -> None:
    results = opened.results
    pids = np.array([record[1] for record in opened.records("query")])
    hardest = chosen_queries(results, pids, "hardest", 3)
    precision = results.ranks[0].average_precision
    assert precision[hardest[0]] == precision[results.ranks[0].valid].min()
    assert len(set(pids[hardest])) == len(hardest) and sorted(precision[hardest]) == list(precision[hardest])
    drawn = chosen_queries(results, pids, "random", 3, seed=2)
    assert drawn == chosen_queries(results, pids, "random", 3, seed=2) and len(drawn) == 3
    assert chosen_queries(results, pids, "hardest", 9, [4, 2]) == [4, 2]
    assert len(disagreeing(results, results, 2)) == 2
    for arguments, message in (
        (("hardest", 1, [10_000]), "query 10000: there are queries 0 to"),
        (("easiest", 1), "neither hardest nor random"),
    ):
        with pytest.raises(ValueError, match=message):
            chosen_queries(results, pids, *arguments)


def test_each_query_s_outcome_is_the_protocol_s(opened: TrainedRun) -> None:
    table, results = opened.per_query, opened.results
    assert table.protocols() == [results.protocol]
    count = len(opened.records("query"))
    assert len(table) == count * len(results.trials) and table.columns["query"][:2].tolist() == ["query 0", "query 1"]
    assert table.columns["pid"][:count].tolist() == [record[1] for record in opened.records("query")]
    for number, ranks in enumerate(results.ranks):
        rows = table.columns["trial"] == number
        assert np.array_equal(table.columns["AP"][rows], ranks.average_precision, equal_nan=True)


def test_points_are_the_evaluator_s_features_with_their_bands(opened: TrainedRun) -> None:
    points = opened.points()
    assert len(points) == sum(len(opened.records(split)) for split in ("query", "gallery"))
    assert set(points.bands) == {"visible", "infrared"}
    query = opened.engine.features_of(opened.loaders["query"], False, "query").features.detach().numpy()
    assert np.allclose(points.features[: len(query)], query, atol=1e-5)
    assert not np.allclose(opened.points(["modality"]).features, points.features)
    assert np.isfinite(distances_of(opened).gap)
    bands = [opened.records(split)[row][0].paths for split, row in samples_of_every_band(opened, 2)]
    assert [next(iter(paths)) for paths in bands] == ["visible"] * 2 + ["infrared"] * 2
    assert inspected(opened, count=1).prompts


def test_mistakes_are_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(folder / "config.yaml", bare)
    out = ["--out", tmp_path / "a.png"]
    cases: list[tuple[list[Any], str]] = [
        (["prompts", tmp_path / "none"], "none: no such run"),
        (["prompts", tmp_path / "empty"], "is no run's folder: it has no config.yaml"),
        (["prompts", bare], "bare: no weights in this folder; train there first"),
        (["prompts", folder, "--out", "a.jpg"], "pictures end in .png or .svg"),
        (["embedding", folder, *out, "--method", "pca", "--without", "bind"], "MIP has no 'bind' prompts"),
        (["attention", folder, *out, "--layer", "9"], "layer 9: the model has blocks 1 to 2"),
        (["attention", folder, *out, "--queries", "-1"], "query -1: there are queries 0 to"),
        (["ranks", folder, *out, "--dataset", "imagenet"], "imagenet"),
    ]
    for words, message in cases:
        capsys.readouterr()
        assert promptreid("show", *words) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ") and message in error, error
    assert not (tmp_path / "a.png").exists()


def test_a_model_without_attention_is_refused(opened: TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened.engine, "model", __import__("torch").nn.Linear(2, 2))
    with pytest.raises(ValueError, match="Linear has no attention that can be shown"):
        KINDS["prompts"](opened)


def test_choices_are_the_library_s() -> None:
    assert choices.PROJECTIONS == METHODS and tuple(WIDTHS) == choices.PICTURE_WIDTHS
