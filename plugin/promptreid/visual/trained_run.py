"""Finished run, opened for pictures: its data, model, weights and features, each computed once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from promptreid.config import load_config
from promptreid.data.batch import FIELDS, ModalBatch, PathBundle
from promptreid.data.images import read_images
from promptreid.engine.epoch_meter import progress
from promptreid.engine.feature_extraction import distinct_splits, protocols_of
from promptreid.engine.target_features import TargetFeatures
from promptreid.engine.train_engine import PromptEngine
from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.ranking.rank_lists import RankLists
from promptreid.evaluation.results import Results
from promptreid.evaluation.statistics.per_query import PerQuery
from promptreid.models.inspection import Inspectable
from promptreid.retrieval.loading import weights_of
from promptreid.runs.load_trained import open_target, trained_engine
from promptreid.visual.embedding import Points

SPLITS = ("query", "gallery")
_UNIT = 1e-5


class TrainedRun:
    """Finished run, opened for pictures; see :func:`open_run`.

    Args:
        cfg: a tree from ``load_config`` whose ``data.save_dir`` is the run, or with ``model.load_weights``.
        name: what pictures call it; the name of the folder when empty.

    Raises:
        ValueError, FileNotFoundError: a configuration, data set or weights that cannot be used.
    """

    def __init__(self, cfg: Any, name: str = "") -> None:
        self.cfg = cfg
        self.folder = Path(cfg.data.save_dir)
        self.name = name or self.folder.name
        self.datamanager, self.target = open_target(cfg)
        self.engine: PromptEngine = trained_engine(cfg, self.datamanager)
        self._features: dict[tuple[str, bool, tuple[int, ...] | None], FeatureSet] = {}
        self._points: dict[tuple[str, ...], Points] = {}

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the model's images."""
        return self.cfg.data.height, self.cfg.data.width

    @property
    def loaders(self) -> dict[str, Any]:
        """Loaders of the target's queries and gallery."""
        loaders: dict[str, Any] = self.engine.test_loader[self.target]
        return loaders

    @property
    def model(self) -> Any:
        """Model with its weights, in evaluation mode."""
        model: Any = self.engine.model
        return getattr(model, "module", model)

    @property
    def inspectable(self) -> Any:
        """Model, if it can be inspected.

        Raises:
            ValueError: it has no attention.
        """
        if not isinstance(self.model, Inspectable):
            raise ValueError(
                f"model.name {self.cfg.model.name!r}: {type(self.model).__name__} has no attention that can be shown; "
                "choose a run of a vision transformer"
            )
        return self.model

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the bands, in the model's order."""
        return tuple(getattr(self.model, "modalities", None) or self.datasets["query"].modalities)

    @property
    def datasets(self) -> dict[str, Any]:
        """Data sets of queries and gallery; their records stand in ``data``."""
        return {split: self.loaders[split].dataset for split in SPLITS}

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits of the distinct test images: only the gallery if it contains every query."""
        return distinct_splits(self.datasets)

    def records(self, split: str) -> list[Any]:
        """``(path, pid, camid, ...)`` of each query or gallery image."""
        return list(self.datasets[split].data)

    def read(self, paths: Sequence[str]) -> list[Any]:
        """The images at these paths, from the data set's pack where it has one."""
        pack = getattr(self.datasets["query"], "pack", None)
        return read_images(paths) if pack is None else [pack.read(path) for path in paths]

    @cached_property
    def _target(self) -> TargetFeatures:
        return self._tested_by(self._protocols[:1])

    @property
    def _protocols(self) -> list[Any]:
        protocols = protocols_of(self.datasets["query"], self.cfg.test.protocols)
        if not protocols:
            raise ValueError(f"{self.target}: it has no protocol, so there are no ranked lists to draw")
        return list(protocols)

    def _tested_by(self, protocols: Sequence[Any]) -> TargetFeatures:
        return TargetFeatures(self.model, self.loaders, self.normalize, self._extract, protocols)

    @property
    def normalize(self) -> bool:
        """Whether features are brought to unit length before they are compared."""
        return bool(self.cfg.test.normalize_feature)

    @property
    def _settings(self) -> dict[str, Any]:
        return {
            "metric": self.cfg.test.dist_metric,
            "rerank": self.engine.evaluation.reranking(self.cfg.test.rerank),
        }

    @cached_property
    def results(self) -> Results:
        """Results of the first protocol, as ``promptreid evaluate`` gives them."""
        return self._target.evaluate(**self._settings)[0]

    @cached_property
    def per_query(self) -> PerQuery:
        """The outcome of every query under each of the run's protocols; queries are named ``"query 0"``, ..."""
        return self._tested_by(self._protocols).per_query(**self._settings)

    def rank_lists(self, k: int) -> RankLists:
        """The ``k`` nearest images of each query of the first trial, by the protocol's rule."""
        return self._target.rank_lists(k, **self._settings)

    def _extract(self, loader: Any, normalize: bool, split: str, kept: tuple[int, ...] | None) -> FeatureSet:
        key = (split, normalize, kept)
        if loader is not self.loaders.get(split):  # a part of the images
            return self.engine.features_of(loader, normalize, split, kept)
        if key not in self._features:
            with torch.no_grad():
                self._features[key] = self.engine.features_of(loader, normalize, split, kept)
        return self._features[key]

    def points(self, without: Collection[str] = ()) -> Points:
        """Every test image with its feature, as the model gives it, its identity, camera and band.

        A sample of several images gives a point for each; the bands of a model that cannot say what belongs to which
        image are joined, ``visible+infrared``.

        Args:
            without: families of prompts that are switched off.

        Raises:
            ValueError: a family that the model lacks.
        """
        key = tuple(sorted(without))
        if key not in self._points:
            model = self.model if not key else self.inspectable.without(key)
            parts = [self._points_of(model, split) for split in self.splits]
            columns = zip(*((p.features, p.pids, p.cameras, p.bands) for p in parts), strict=True)
            self._points[key] = Points(*(np.concatenate(column) for column in columns))
        return self._points[key]

    @torch.no_grad()
    def _points_of(self, model: Any, split: str) -> Points:
        records, loader = self.records(split), self.loaders[split]
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        start = 0
        for batch in progress(loader, f"extracting {split}", len(loader)):
            images = batch["img"].cuda() if self.engine.use_gpu else batch["img"]
            features, modality, sample = self._image_features(model, images)
            parts.append((features, modality, sample + start))
            start += len(batch["pid"])
        features, modality, sample = (np.concatenate(column) for column in zip(*parts, strict=True))
        pids, cameras = np.array([record[1] for record in records]), np.array([_camera(record) for record in records])
        bands = np.array([_bands(record) for record in records])[sample]
        if modality[0] >= 0:
            bands = np.array(self.modalities)[modality]
        return Points(features, pids[sample], cameras[sample], bands)

    def _image_features(self, model: Any, images: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features, modalities and samples of a batch's images; modality -1 where a sample stays whole."""
        if not isinstance(model, Inspectable):
            whole = self.engine.extract_features(images).cpu().numpy()
            return whole, np.full(len(whole), -1), np.arange(len(whole))
        with self.engine.steps.autocast(self.engine.device_type):
            found = model.image_features(images)
        return found.features.float().cpu().numpy(), found.modality.cpu().numpy(), found.sample.cpu().numpy()

    def first_batch(self) -> dict[str, Any]:
        """The first training batch of the seed, after augmentation; the sources' images have to be there."""
        datamanager, _ = open_target(self.cfg, training=True)
        batch: dict[str, Any] = next(iter(datamanager.train_loader))
        return batch

    def samples_at(self, places: Sequence[tuple[str, int]]) -> Any:
        """Test samples, each by its split and its number there, as a batch for the model."""
        samples = [self.datasets[split][row]["img"] for split, row in places]
        batch = ModalBatch({name: torch.stack([sample[name] for sample in samples]) for name in FIELDS})
        return batch.cuda() if self.engine.use_gpu else batch

    @cached_property
    def model_normalizes(self) -> bool:
        """Whether descriptors come out of the model with unit length."""
        return bool(abs(float(self.model(self.samples_at([("query", 0)]))[0].detach().norm()) - 1) < _UNIT)


def open_run(folder: str | Path, *, root: str | Path = "", dataset: str = "", weights: str | Path = "") -> TrainedRun:
    """Open a run's folder to draw from.

    Args:
        folder: of a training that has ended, or at least saved a checkpoint.
        root: folder of the data sets, where it is not where it was (``data.root``).
        dataset: a data set to look at instead of the run's own target.
        weights: a checkpoint instead of the run's newest.

    Raises:
        ValueError: no run, or a data set that nobody knows.
        FileNotFoundError: no such folder, no weights in it, or no images.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such run; name the folder of a training (data.save_dir)")
    config = folder / "config.yaml"
    if not config.is_file():
        raise ValueError(f"{folder} is no run's folder: it has no config.yaml; name a folder that training wrote")
    if not weights:
        weights_of(folder)
    changes: dict[str, Any] = {"data.save_dir": str(folder)}
    if root:
        changes["data.root"] = str(root)
    if dataset:
        changes["data.targets"] = [dataset]
        changes["test.protocols"] = []
    if weights:
        changes["model.load_weights"] = str(weights)
    return TrainedRun(load_config(config, overrides=changes))


def _camera(record: Any) -> int:
    camera = getattr(record[0], "camera", -1)
    return int(camera if camera >= 0 else record[2])


def _bands(record: Any) -> str:
    path = record[0]
    return "+".join(path.paths) if isinstance(path, PathBundle) else "visible"
