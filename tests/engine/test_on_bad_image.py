"""A run over images that cannot be read: it ends, says which ones, and is resumed exactly."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from every_data_set import config_of
from small_runs import assert_same_run, newest, small_config
from toy_triples import ToyTriples, write_triples

from promptreid import host
from promptreid.engine.train_engine import PromptEngine
from promptreid.retrieval.extraction import extract
from promptreid.runs.missing_modalities import evaluate_missing
from promptreid.runs.run import run

SKIP = {"data.on_bad_image": "skip", "train.seed": 3, "train.max_epoch": 1, "train.warmup_epochs": 0}


def ids(root: Path, split: str) -> list[str]:
    return (root / "SYSU-MM01" / "exp" / f"{split}_id.txt").read_text().strip().split(",")


@pytest.fixture(scope="module")
def damaged(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SYSU-MM01 with a broken query, a broken gallery image, one that is gone, and five broken training images."""
    root = tmp_path_factory.mktemp("damaged")
    shutil.copytree(small_root, root, dirs_exist_ok=True)
    folder, tested = root / "SYSU-MM01", int(ids(root, "test")[0])
    for place in [f"cam3/{tested:04d}/0001.jpg", f"cam1/{tested:04d}/0002.jpg"]:
        (folder / place).write_bytes(b"no image")
    trained = [folder / f"cam1/{int(pid):04d}/0001.jpg" for pid in ids(root, "train")]
    for path in [path for path in trained if path.exists()][:5]:
        path.write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def finished(damaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(small_config(damaged, out, **SKIP))
    return out


def test_the_results_say_what_is_left_out_everywhere(finished: Path) -> None:
    record = json.loads((finished / "results-sysu_mm01.json").read_text())
    (result,), reasons = record["results"], record["left_out"]
    text = "2 images left out (1 query, 1 of the gallery)"
    assert text in result["note"]
    assert [reason.split(": ")[1] for reason in reasons] == ["not an image that Pillow can read; replace the file or "
                                                             "remove it"] * 2  # fmt: skip
    log = (finished / "log.txt").read_text()
    assert any(line.endswith(text) and "sysu-python indoor 1-shot" in line for line in log.splitlines())
    assert "sysu_mm01: 2 images left out: " in log and "cam3" in log
    trial = result["trials"][0]
    complete = len(list((Path(reasons[0].split(":")[0]).parents[3]).glob("SYSU-MM01/cam[36]/*/*.jpg")))
    assert trial["num_valid"] + trial["num_invalid"] < complete


def test_the_training_says_what_stood_in(finished: Path) -> None:
    log = (finished / "log.txt").read_text()
    assert "the file is empty; replace the file or remove it (another image of its identity stands for it" in log
    assert "images could not be read in this epoch; others of their identities stood in" in log
    named = [line for line in log.splitlines() if "stands for it" in line]
    assert len(named) == len(set(named)) <= 5


def test_a_stopped_run_ends_like_one_left_alone(
    damaged: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, calls = PromptEngine.forward_backward, []

    def stopped(self: PromptEngine, data: dict[str, Any]) -> dict[str, float]:
        calls.append(data)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(PromptEngine, "forward_backward", stopped)
        with pytest.raises(SystemExit):
            run(small_config(damaged, tmp_path / "run", **SKIP))
    run(small_config(damaged, tmp_path / "run", **SKIP, **{"data.workers": 1}), resume="auto")
    assert_same_run(finished, tmp_path / "run")


def test_a_run_that_a_bad_image_has_ended_goes_on_with_skip(damaged: Path, tmp_path: Path) -> None:
    stopping = {**SKIP, "data.on_bad_image": "stop"}
    with pytest.raises(ValueError, match=r"cam\d/\d+/000\d\.jpg: "):
        run(small_config(damaged, tmp_path / "run", **stopping))
    run(small_config(damaged, tmp_path / "run", **SKIP), resume="auto")
    assert newest(tmp_path / "run")["epoch"] == 1


def test_extracted_features_are_without_them(damaged: Path, finished: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = extract(small_config(damaged, finished, **SKIP))
    tested = ids(damaged, "test")[0]
    assert not any(path.endswith(f"cam3/{int(tested):04d}/0001.jpg") for path in table.paths.tolist())
    assert len(table.paths) == len(table.features) == len(table.pids)
    assert "query: 1 images left out" in caplog.text


@pytest.fixture
def triples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_triples(tmp_path)
    monkeypatch.setitem(host._DATASETS, "toy_triples", ToyTriples)
    monkeypatch.setitem(host._ours, ("dataset", "toy_triples"), ToyTriples)
    return tmp_path


def test_samples_that_are_queries_and_gallery_are_out_of_both(triples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One band of three is broken: the sample is left out, under every condition."""
    cfg = config_of("toy_triples", triples, triples / "run", monkeypatch, **SKIP)
    (triples / "near_infrared" / "5_0_1.png").write_bytes(b"broken")
    (results,) = run(cfg, eval_only=True)["toy_triples"]
    assert results.note == "1 image left out (1 query, 1 of the gallery)"
    table = evaluate_missing(cfg)
    assert all("1 image left out" in result.note for _, result in table.outcomes)
