"""Which weights a run ends with, and that every result says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import newest, results, small_config

from promptreid import host
from promptreid.datasets.sysu_mm01 import SYSUMM01
from promptreid.engine.checkpoints.best_weights import Origin, SelectionOptions, Selector
from promptreid.engine.train_engine import PromptEngine
from promptreid.models.weights import read_state_dict
from promptreid.runs.run import run

TWO = ["sysu_mm01", "sysu_twin"]
EPOCHS = {"train.max_epoch": 4, "test.eval_freq": 1, "train.lr_scheduler": "mip_cosine"}


class SYSUTwin(SYSUMM01):
    """The same data under another name."""


@pytest.fixture(scope="module", autouse=True)
def twin() -> Iterator[None]:
    host.register_dataset("sysu_twin", SYSUTwin)
    yield
    del host._DATASETS["sysu_twin"], host._ours["dataset", "sysu_twin"]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of both data sets while training find 20, 40, 30, 40 % of rank-1, whatever the weights."""
    evaluate = PromptEngine._evaluate

    def scores(self: PromptEngine, dataset_name: str = "", **settings: Any) -> tuple[float, float]:
        evaluate(self, dataset_name=dataset_name, **settings)
        score = {1: 0.2, 2: 0.4, 3: 0.3, 4: 0.4}[self.position.epoch]
        return score, 1 - score

    monkeypatch.setattr(PromptEngine, "_evaluate", scores)


def evaluations(save_dir: Path) -> list[tuple[int, str, str, bool]]:
    records = [json.loads(line) for line in (save_dir / "metrics.jsonl").read_text().splitlines()]
    return [
        (record["epoch"], record["dataset"], record["selection"], record.get("final", False))
        for record in records
        if "dataset" in record
    ]


def weights_after(epoch: int, root: Path, folder: Path, **changes: Any) -> dict[str, torch.Tensor]:
    """Of a run that is left after that epoch."""
    run(small_config(root, folder, **{**EPOCHS, **changes, "train.max_epoch": epoch}))
    return newest(folder)["state_dict"]


def test_dev_selects_on_one_data_set_and_tests_on_the_other(scripted: None, small_root: Path, tmp_path: Path) -> None:
    select = {"test.select": "dev", "test.select_metric": "rank1", "data.targets": TWO}
    run(small_config(small_root, tmp_path / "run", **EPOCHS, **select))
    during = [(epoch, "sysu_mm01", "last", False) for epoch in (1, 2, 3, 4)]
    final = [(2, "sysu_mm01", "test-selected", True), (2, "sysu_twin", "dev-selected", True)]
    assert evaluations(tmp_path / "run") == during + final
    best = read_state_dict(tmp_path / "run" / "model" / "best.safetensors")
    expected = weights_after(2, small_root, tmp_path / "two")
    assert all(torch.equal(best[name], value) for name, value in expected.items())
    written = results(tmp_path / "run")
    assert {name: record["selection"] for name, record in written.items()} == {
        "results-sysu_mm01.json": "test-selected",
        "results-sysu_twin.json": "dev-selected",
    }
    assert "[dev-selected] sysu-python indoor 1-shot" in (tmp_path / "run" / "log.txt").read_text()
    last = newest(tmp_path / "run")
    assert last["epoch"] == 4 and not torch.equal(
        last["state_dict"]["classifier.0.weight"], best["classifier.0.weight"]
    )


def test_the_metric_decides_and_the_first_of_equals_wins(scripted: None, small_root: Path, tmp_path: Path) -> None:
    run(small_config(small_root, tmp_path / "run", **EPOCHS, **{"test.select": "test"}))  # mAP is 1 - rank-1 here
    assert evaluations(tmp_path / "run")[-1] == (1, "sysu_mm01", "test-selected", True)


def test_patience_ends_a_run_that_does_not_improve(scripted: None, small_root: Path, tmp_path: Path) -> None:
    select = {"test.select": "test", "test.select_metric": "rank1", "train.patience": 1}
    cfg = small_config(small_root, tmp_path / "run", **EPOCHS, **select)
    run(cfg)
    assert newest(tmp_path / "run")["epoch"] == 3
    assert evaluations(tmp_path / "run")[-1] == (2, "sysu_mm01", "test-selected", True)
    before = results(tmp_path / "run")
    run(cfg, resume="auto")
    assert newest(tmp_path / "run")["epoch"] == 3 and results(tmp_path / "run") == before


def test_the_selected_weights_are_tested_again_and_elsewhere(small_root: Path, tmp_path: Path) -> None:
    select = {**EPOCHS, "test.select": "dev", "data.targets": TWO, "train.ema": 0.5}
    run(small_config(small_root, tmp_path / "run", **select))
    written = results(tmp_path / "run")
    run(small_config(small_root, tmp_path / "run", **select), eval_only=True)
    again = results(tmp_path / "run")
    assert {name: record["results"] for name, record in again.items()} == {
        name: record["results"] for name, record in written.items()
    }
    assert again["results-sysu_twin.json"]["selection"] == "dev-selected"
    file = {"model.load_weights": str(tmp_path / "run" / "model" / "best.safetensors"), "data.targets": ["sysu_twin"]}
    run(small_config(small_root, tmp_path / "file", **file), eval_only=True)
    (record,) = results(tmp_path / "file").values()
    assert record["selection"] == "dev-selected" and record["epoch"] == written["results-sysu_twin.json"]["epoch"]
    assert record["results"] == written["results-sysu_twin.json"]["results"]


def test_weights_of_unknown_origin_are_called_given(small_root: Path, tmp_path: Path) -> None:
    run(small_config(small_root, tmp_path / "run", **{"train.max_epoch": 1, "train.warmup_epochs": 0}))
    torch.save(newest(tmp_path / "run")["state_dict"], tmp_path / "weights.pth")
    run(
        small_config(small_root, tmp_path / "a", **{"model.load_weights": str(tmp_path / "weights.pth")}),
        eval_only=True,
    )
    last = {"model.load_weights": str(tmp_path / "run" / "model" / "model.safetensors")}
    run(small_config(small_root, tmp_path / "b", **last), eval_only=True)
    labels = [results(tmp_path / name)["results-sysu_mm01.json"]["selection"] for name in ("run", "a", "b")]
    assert labels == ["last", "given", "last"]


@pytest.mark.parametrize("as_folder", [False, True])
def test_a_checkpoint_of_torchreids_own_engine_does_not_say_how_it_was_chosen(
    as_folder: bool, small_root: Path, tmp_path: Path
) -> None:
    run(small_config(small_root, tmp_path / "run"))
    theirs = {name: newest(tmp_path / "run")[name] for name in ("state_dict", "epoch", "rank1")}
    path = tmp_path / "host" / "model" / "model.pth.tar-60"
    path.parent.mkdir(parents=True)
    torch.save({**theirs, "optimizer": {}, "scheduler": {}}, path)
    given = {"model.load_weights": str(path.parents[1] if as_folder else path)}
    run(small_config(small_root, tmp_path / "test", **given), eval_only=True)
    (tested,), (own,) = (results(tmp_path / name).values() for name in ("test", "run"))
    assert (tested["selection"], tested["epoch"]) == ("given", 2)
    assert own["selection"] == "last" and tested["results"] == own["results"]


def test_averaged_weights_are_what_is_tested_and_kept_beside_the_checkpoint(small_root: Path, tmp_path: Path) -> None:
    run(small_config(small_root, tmp_path / "run", **{"train.ema": 0.9}))
    run(small_config(small_root, tmp_path / "plain"))
    state, plain = newest(tmp_path / "run"), newest(tmp_path / "plain")
    file = read_state_dict(tmp_path / "run" / "model" / "model.safetensors")
    assert all(torch.equal(file[name], value) for name, value in state["ema"].items())
    assert torch.equal(state["state_dict"]["classifier.0.weight"], plain["state_dict"]["classifier.0.weight"])
    trained = results(tmp_path / "run")["results-sysu_mm01.json"]["results"]
    assert trained != results(tmp_path / "plain")["results-sysu_mm01.json"]["results"]
    run(small_config(small_root, tmp_path / "run", **{"train.ema": 0.9}), eval_only=True)
    assert results(tmp_path / "run")["results-sysu_mm01.json"]["results"] == trained


BAD = {
    "dev on one": ({"test.select": "dev"}, r"test\.select dev selects on one data set and tests on another"),
    "no such target": (
        {"test.select": "test", "test.select_target": "regdb"},
        r"test\.select_target 'regdb' is none of data\.targets \['sysu_mm01'\]",
    ),
    "no tests": (
        {"test.select": "test", "test.eval_freq": -1},
        r"test\.select test chooses among tests while training",
    ),
    "patience for nothing": ({"train.patience": 3}, r"train\.patience ends a run that doesn't improve"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_selected_is_refused_before_anything_is_written(
    case: str, small_root: Path, tmp_path: Path
) -> None:
    changes, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        run(small_config(small_root, tmp_path / "run", **{**EPOCHS, **changes}))
    assert not (tmp_path / "run").exists()


def test_labels() -> None:
    assert Origin(3).label("a") == "last"
    assert Origin(3, "given").label("a") == "given"
    assert [Origin(3, "dev", "a").label(name) for name in "ab"] == ["test-selected", "dev-selected"]
    assert [Origin(3, "test", "a").label(name) for name in "ab"] == ["test-selected", "test-selected"]


def test_a_score_that_is_not_a_number_is_never_the_best() -> None:
    selector = Selector(SelectionOptions("test", patience=2), ["a"])
    values = (0.3, float("nan"), 0.2, 0.5)
    best = [selector.update({"a": {"mAP": value}}, epoch, dict) for epoch, value in enumerate(values, start=1)]
    assert best == [True, False, False, True]
    again = Selector(SelectionOptions("test", patience=2), ["a"])
    again.load_state_dict(selector.state_dict())
    assert (again.score, again.origin, again.waited, again.exhausted) == (0.5, Origin(4, "test", "a"), 0, False)
