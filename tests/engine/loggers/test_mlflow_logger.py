"""MLflow's local file store gets a run's metrics, parameters and pictures, each once."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from promptreid.engine.checkpoints.position import Position
from promptreid.engine.loggers.mlflow_logger import FOLDER_TAG, MLflowLogger
from promptreid.engine.run_watch import RunWatch
from promptreid.engine.watch_options import WatchOptions


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Of the store in the folder of the run, ``tmp_path / "run"``."""
    tracking = pytest.importorskip("mlflow.tracking", exc_type=ImportError)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return tracking.MlflowClient(tracking_uri=(tmp_path / "run" / "mlruns").as_uri())


def told(folder: Path, position: Position, steps: range) -> MLflowLogger:
    logger = MLflowLogger(folder, position)
    for step in steps:
        logger.scalars({"Train/loss": 1 / (step + 1), "Test/a + k-reciprocal(20,6,0.3)/mAP": step}, step)
    return logger


def runs_of(client: Any) -> list[Any]:
    return list(client.search_runs([client.get_experiment_by_name("promptreid").experiment_id]))


def test_a_run_in_the_local_file_store(client: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    logger = told(folder, Position(), range(3))
    logger.image("Cosines/prompts", np.full((4, 6, 3), 7, np.uint8), 1)
    logger.text("Batches/1", "| a |", 0)
    logger.hparams({"train.lr": 0.1, "train.amp": True, "model.name": "mip"}, {"sysu_mm01/mAP": 0.25})
    logger.close()
    (found,) = runs_of(client)
    assert found.info.run_name == "run" and found.info.status == "FINISHED"
    assert found.data.tags[FOLDER_TAG] == str(folder.resolve())
    assert found.data.params == {"train.lr": "0.1", "train.amp": "True", "model.name": "mip"}
    assert found.data.metrics["Final/sysu_mm01/mAP"] == 0.25
    history = client.get_metric_history(found.info.run_id, "Train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
    assert found.data.metrics["Test/a _ k-reciprocal_20_6_0.3_/mAP"] == 2
    artifacts = next((folder / "mlruns").rglob("artifacts"))
    assert (artifacts / "Batches/1/000000.md").read_text() == "| a |"
    assert (artifacts / "Cosines/prompts/000001.png").stat().st_size > 20


def test_a_run_that_goes_on_continues_its_run_and_repeats_nothing(client: Any, tmp_path: Path) -> None:
    told(tmp_path / "run", Position(), range(5)).flush()  # killed: two steps further than its checkpoint
    told(tmp_path / "run", Position(epoch=1, batches=3), range(3, 8)).close()
    (found,) = runs_of(client)
    history = client.get_metric_history(found.info.run_id, "Train/loss")
    assert [metric.step for metric in history] == list(range(8))
    told(tmp_path / "run", Position(), range(1)).close()  # trained anew
    assert len(runs_of(client)) == 2


def test_a_run_that_dies_before_its_first_batch_leaves_nothing(client: Any, tmp_path: Path) -> None:
    MLflowLogger(tmp_path / "other", Position()).close()
    assert not (tmp_path / "other").exists()


def test_without_the_package_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "mlflow":
            raise ModuleNotFoundError("No module named 'mlflow'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match=r"train\.loggers names mlflow.*pip install 'promptreid\[mlflow\]'"):
        RunWatch(WatchOptions(loggers=["tensorboard", "mlflow"]))
