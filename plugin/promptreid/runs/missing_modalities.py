"""Testing a trained model under missing modalities."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from promptreid.config.keys import did_you_mean
from promptreid.data.batch import PathBundle
from promptreid.data.dataset import ModalDataset
from promptreid.engine.feature_extraction import part_of
from promptreid.engine.train_engine import PromptEngine
from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.missing.conditions import (
    Condition,
    Side,
    evaluate_condition,
    evaluate_sides,
    missing_conditions,
    short_name,
)
from promptreid.evaluation.missing.table import MissingTable
from promptreid.evaluation.protocols import MarketProtocol
from promptreid.evaluation.ranking.reranking import KReciprocal
from promptreid.evaluation.results import Results
from promptreid.evaluation.tables import save_table
from promptreid.files import write_text
from promptreid.runs.load_trained import open_target, trained_engine

logger = logging.getLogger(__name__)

Names = Sequence[str]


def evaluate_missing(cfg: Any, conditions: Sequence[tuple[Names, Names]] | None = None) -> MissingTable:
    """Test under missing modalities, with the headline protocol of the one target data set.

    The weights are ``model.load_weights``, or else the newest checkpoint in ``data.save_dir``. A model whose
    ``modality_slices(M)`` says where in a descriptor each modality's own part is, runs once; any other, or one that
    answers None, once for each set of modalities that a side has. Sides that share modalities are compared on these.

    ``missing-<data>.json``, ``.csv`` and ``.md`` are written into ``data.save_dir``; with conditions given, their names
    come behind ``<data>``, as in ``missing-rgbnt201-RGB+NIR-TIR.json``.

    Args:
        cfg: a tree from ``load_config``.
        conditions: names of the modalities that queries and gallery have, ``("RGB", "NIR")`` or ``("visible",
            "near_infrared")``; the field's table when None.

    Raises:
        ValueError, FileNotFoundError: a configuration, data set or checkpoint that cannot be used, a data set with one
            modality per sample, an unknown modality, or a condition under which nothing can be compared.
    """
    datamanager, name = open_target(cfg)
    loaders = datamanager.test_loader[name]
    modalities = _modalities(name, loaders["query"].dataset)
    wanted = missing_conditions(modalities) if conditions is None else _chosen(modalities, conditions)
    engine = trained_engine(cfg, datamanager)
    protocol = (*loaders["query"].dataset.protocols, MarketProtocol())[0]
    tested = _Tested(engine, loaders, bool(cfg.test.normalize_feature))
    settings = {"metric": cfg.test.dist_metric, "rerank": KReciprocal() if cfg.test.rerank else None}
    outcomes = []
    for condition in wanted:
        outcomes.append((condition, tested.evaluate(protocol, condition, **settings)))
        logger.info("%s", outcomes[-1][1].line())
    table = MissingTable(outcomes)
    suffix = "" if conditions is None else "-" + ",".join(f"{one.query_name}-{one.gallery_name}" for one in wanted)
    _save(table, name, Path(cfg.data.save_dir) / f"missing-{name}{suffix}")
    return table


class _Tested:
    """Queries and gallery of a data set, each extracted once for all conditions, or once for each set of modalities."""

    def __init__(self, engine: PromptEngine, loaders: dict[str, Any], normalize: bool) -> None:
        self.engine, self.loaders, self.normalize = engine, loaders, normalize
        datasets = loaders["query"].dataset, loaders["gallery"].dataset
        self.present = {split: _present(data) for split, data in zip(("query", "gallery"), datasets, strict=True)}
        self.all = tuple(range(len(datasets[0].modalities)))
        slices_of = getattr(engine.model, "modality_slices", None)
        self.slices: list[slice] | None = None if slices_of is None else slices_of(len(self.all))
        self.same_images = _keys(datasets[0]) == _keys(datasets[1])
        self._extracted: dict[tuple[str, tuple[int, ...]], FeatureSet] = {}

    def evaluate(self, protocol: Any, condition: Condition, **settings: Any) -> Results:
        if self.slices is None:
            query, gallery = (
                self._masked(split, kept) for split, kept in zip(("query", "gallery"), condition.compared, strict=True)
            )
            return evaluate_sides(protocol, condition, query, gallery, **settings)
        features = self._features("query", self.all), self._features("gallery", self.all)
        present = self.present["query"], self.present["gallery"]
        return evaluate_condition(
            protocol, condition, *features, present, self.slices, normalize=self.normalize, **settings
        )

    def _masked(self, split: str, kept: tuple[int, ...]) -> Side:
        images = self._features(split, kept)
        return Side(images, len(self.present[split]) - len(images))

    @torch.no_grad()
    def _features(self, split: str, kept: tuple[int, ...]) -> FeatureSet:
        """Features of the samples that have at least one of these modalities, made as if they had no other."""
        source = "gallery" if self.same_images else split
        if (source, kept) not in self._extracted:
            loader = part_of(self.loaders[source], np.flatnonzero(self.present[source][:, kept].any(axis=1)))
            # A part that is cut out of the descriptor is brought to unit length afterwards.
            normalize = self.normalize and self.slices is None
            masked = None if kept == self.all else kept
            self._extracted[source, kept] = self.engine.features_of(loader, normalize, source, masked)
        return self._extracted[source, kept]


def _modalities(name: str, dataset: Any) -> tuple[str, ...]:
    if not isinstance(dataset, ModalDataset) or dataset.images_per_sample == 1:
        raise ValueError(
            f"data.targets: a sample of {name} is an image of one modality, so none can be missing from it; choose a "
            "data set whose samples have several, such as rgbnt201"
        )
    return dataset.modalities


def _chosen(modalities: tuple[str, ...], conditions: Sequence[tuple[Names, Names]]) -> list[Condition]:
    spellings = {name: number for number, name in enumerate(modalities)}
    spellings |= {short_name(name): number for number, name in enumerate(modalities)}
    known = {name.lower(): number for name, number in spellings.items()}

    def numbers(names: Names) -> tuple[int, ...]:
        for name in names:
            if name.lower() not in known:
                raise ValueError(f"modality {name!r} is none of {', '.join(spellings)}{did_you_mean(name, spellings)}")
        return tuple(sorted({known[name.lower()] for name in names}))

    return [Condition(modalities, numbers(query), numbers(gallery)) for query, gallery in conditions]


def _bundle(dataset: ModalDataset, path: str) -> dict[str, str | None]:
    return path.paths if isinstance(path, PathBundle) else {dataset.modalities[0]: path}


def _present(dataset: ModalDataset) -> np.ndarray:
    """(N, M) bool: the modalities that each sample has."""
    bundles = [_bundle(dataset, record[0]) for record in dataset.data]
    return np.array([[bundle.get(name) is not None for name in dataset.modalities] for bundle in bundles])


def _keys(dataset: ModalDataset) -> list[Any]:
    """What tells whether two lists of records are of the same images, with the same labels."""
    return [(_bundle(dataset, path), pid, camid) for path, pid, camid, *_ in dataset.data]


def _save(table: MissingTable, name: str, stem: Path) -> None:
    record = {"time": time.strftime("%Y-%m-%dT%H:%M:%S"), "dataset": name, **table.as_dict()}
    for suffix, text in ((".json", json.dumps(record, indent=1)), (".md", table.markdown())):
        write_text(stem.with_name(stem.name + suffix), text)
    save_table(table.columns(), stem.with_name(f"{stem.name}.csv"))
