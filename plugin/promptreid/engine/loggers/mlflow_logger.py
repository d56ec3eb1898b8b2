"""A run of MLflow: its metrics, parameters and artifacts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from promptreid.engine.checkpoints.position import Position
from promptreid.engine.loggers.base import KEY, RunLogger

FOLDER_TAG = "promptreid.folder"
"""The tag of a run of MLflow that says which folder it belongs to; a resumed training is looked up by it."""
_BATCH = 1000  # metrics in a call, the most that MLflow takes
_PARAMETERS = 100
_NOT_IN_NAMES = re.compile(r"[^\w./ -]")


class MLflowLogger(RunLogger):
    """Tells MLflow: to where ``MLFLOW_TRACKING_URI`` says, and else to files in the folder ``mlruns`` of the run.

    The experiment is that of ``MLFLOW_EXPERIMENT_NAME``, or ``promptreid``. A run that goes on continues its run of
    MLflow, and does not repeat what is there: the same steps give the same numbers. Metrics are sent a thousand at a
    time, and before each checkpoint. Histograms, curves over pairs and embeddings are not kept.
    """

    def __init__(self, folder: Path, position: Position) -> None:
        super().__init__(folder, position)
        self._client: Any = None
        self._run = ""
        self._waiting: list[Any] = []
        self._last: dict[str, int] = {}  # the last step of each metric that an earlier process has written

    @classmethod
    def check(cls) -> None:
        """See the base class."""
        try:
            import mlflow.tracking  # noqa: F401
        except ImportError as error:
            raise ModuleNotFoundError(
                f"{KEY} names mlflow, which cannot be imported ({error}): pip install 'promptreid[mlflow]', or take it"
                " out of the list"
            ) from None

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """See the base class."""
        from mlflow.entities import Metric

        self._open()
        now = int(1000 * time.time())
        for tag, value in values.items():
            name = _name(tag)
            if step > self._last_step(name):
                self._waiting.append(Metric(name, float(value), now, step))
        if len(self._waiting) >= _BATCH:
            self.flush()

    def text(self, tag: str, text: str, step: int) -> None:
        """See the base class; an artifact."""
        self._open()
        self._client.log_text(self._run, text, f"{_name(tag)}/{step:06d}.md")

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """See the base class; an artifact."""
        self._open()
        self._client.log_image(self._run, Image.fromarray(pixels), f"{_name(tag)}/{step:06d}.png")

    def hparams(self, parameters: Mapping[str, str | float | bool], metrics: Mapping[str, float]) -> None:
        """See the base class."""
        from mlflow.entities import Metric, Param

        self._open()
        now = int(1000 * time.time())
        self._waiting += [Metric(_name(f"Final/{name}"), float(value), now, 0) for name, value in metrics.items()]
        self.flush()
        there = self._client.get_run(self._run).data.params
        listed = [Param(_name(key), str(value)) for key, value in parameters.items() if _name(key) not in there]
        for start in range(0, len(listed), _PARAMETERS):
            self._client.log_batch(self._run, params=listed[start : start + _PARAMETERS])

    def flush(self) -> None:
        """See the base class."""
        while self._waiting:
            self._client.log_batch(self._run, metrics=self._waiting[:_BATCH])
            del self._waiting[:_BATCH]

    def close(self) -> None:
        """See the base class."""
        self.flush()
        if self._run:
            self._client.set_terminated(self._run)

    def _open(self) -> None:
        """The run, at the first thing to tell: a training that dies before leaves none."""
        if self._client is not None:
            return
        from mlflow.tracking import MlflowClient

        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # or MLflow 3 asks for a database
            uri = (self.folder.resolve() / "mlruns").as_uri()
        self._client = MlflowClient(tracking_uri=uri)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "promptreid")
        known = self._client.get_experiment_by_name(name)
        experiment = self._client.create_experiment(name) if known is None else known.experiment_id
        self._run = self._earlier(experiment) or self._new(experiment)

    def _earlier(self, experiment: str) -> str:
        if not self.position.batches:
            return ""
        place = str(self.folder.resolve()).replace("'", "\\'")
        found = self._client.search_runs([experiment], f"tags.`{FOLDER_TAG}` = '{place}'", max_results=1)
        if not found:
            return ""
        self._last = dict.fromkeys(found[0].data.metrics, -2)  # their history is asked for when they are told again
        run: str = found[0].info.run_id
        self._client.update_run(run, status="RUNNING")
        return run

    def _new(self, experiment: str) -> str:
        place = self.folder.resolve()
        run: str = self._client.create_run(experiment, run_name=place.name, tags={FOLDER_TAG: str(place)}).info.run_id
        return run

    def _last_step(self, name: str) -> int:
        if self._last.get(name, -1) == -2:
            history = self._client.get_metric_history(self._run, name)
            self._last[name] = max(metric.step for metric in history)
        return self._last.get(name, -1)


def _name(tag: str) -> str:
    """A name that MLflow takes."""
    return _NOT_IN_NAMES.sub("_", tag)
