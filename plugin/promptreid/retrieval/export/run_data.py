"""Images of a run: training images for calibration, test images to measure the cost of a precision."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from promptreid.data.batch import ModalBatch, PathBundle
from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.engine.feature_extraction import features_of, mirrored, protocols_of
from promptreid.evaluation.results import Results
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embedder import Backend, Embedder
from promptreid.retrieval.loading import configuration_of
from promptreid.retrieval.objects import ReIDObject
from promptreid.runs.load_trained import open_target

logger = logging.getLogger(__name__)

_SPLITS = ("query", "gallery")


class RunData:
    """Training and test images of a run's one target data set.

    Args:
        cfg: the run's configuration.
        model: of the run.

    Raises:
        ValueError, FileNotFoundError: a data set that is not there or not usable.
    """

    def __init__(self, cfg: Any, model: ModelDescription) -> None:
        self.cfg, self.model = cfg, model
        self.datamanager, self.target = open_target(cfg)
        self.datamanager.map_cameras(dict(model.camera_rows), tell=False)

    def score(self, backend: Backend) -> Results:
        """Score the vectors of a backend under the run's first protocol."""
        loaders = self.datamanager.test_loader[self.target]
        protocol = protocols_of(loaders["query"].dataset, self.cfg.test.protocols)
        if not protocol:
            raise ValueError(f"{self.target} has no protocol to score under; name one in test.protocols")
        extract, normalize = self._extract(backend), self.model.normalize
        query, gallery = (features_of(loaders[split], extract, split, normalize=normalize) for split in _SPLITS)
        result: Results = protocol[0].evaluate(query, gallery, self.model.metric)
        return result

    def training_batches(self, count: int, size: int = 1) -> list[ModalBatch]:
        """Images of the training, spread over its identities, as they are embedded.

        Args:
            count: how many samples.
            size: of a batch.
        """
        datamanager, _ = open_target(self.cfg, training=True)
        records = datamanager.train_loader.dataset.data
        chosen = torch.linspace(0, len(records) - 1, min(count, len(records))).round().long().tolist()
        objects = [_object(records[row][0]) for row in chosen]
        batches: list[ModalBatch] = []

        def record(batch: ModalBatch) -> Tensor:
            batches.append(batch)
            return torch.zeros(batch.size(0), self.model.width_of_vector)

        for _ in Embedder(self.model, record, batch_size=size).stream(objects):
            pass
        return batches

    def _extract(self, backend: Backend) -> Callable[[Any], Tensor]:
        if not self.model.flip:
            return backend
        return lambda batch: (backend(batch) + backend(mirrored(batch))) / 2


def data_of(source: Path, model: ModelDescription, config: str | None, root: str | None) -> RunData | None:
    """The images behind a source of a model; None where nothing says where they are.

    Args:
        source: a run's folder, a checkpoint or weights.
        model: of it.
        config: the training's configuration, where the file does not hold it.
        root: the folder of the data sets; that of the run's configuration when None.

    Raises:
        ValueError, FileNotFoundError: they are not there, although ``root`` says so.
    """
    cfg = configuration_of(source, config)
    if root is None and not (source.is_dir() and RunFolder(source).config.is_file() and Path(cfg.data.root).is_dir()):
        return None
    cfg = cfg.clone()
    cfg.defrost()
    cfg.data.root, cfg.model.load_weights = root or cfg.data.root, str(source)
    try:
        return RunData(cfg, model)
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        if root is not None:
            raise
        logger.warning("the images of the run cannot be used: %s", error)
        return None


def _object(path: Any) -> ReIDObject:
    if not isinstance(path, PathBundle):
        raise ValueError(f"{path}: the training images of torchreid's own data sets name no modality")
    return ReIDObject({name: file for name, file in path.paths.items() if file is not None}, path.camera, str(path))
