"""Testing a trained model under missing modalities."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from promptreid.config.keys import did_you_mean
from promptreid.data.dataset import ModalDataset
from promptreid.engine.checkpoints.random_state import random_states_kept
from promptreid.engine.modality_sides import ModalitySides
from promptreid.evaluation.missing.across import across_modalities
from promptreid.evaluation.missing.conditions import Condition, missing_conditions, short_name
from promptreid.evaluation.missing.table import MissingTable
from promptreid.evaluation.protocols import MarketProtocol
from promptreid.evaluation.tables import save_table
from promptreid.files import write_text
from promptreid.runs.load_trained import open_target, trained_engine

logger = logging.getLogger(__name__)

Names = Sequence[str]


@random_states_kept()
def evaluate_missing(cfg: Any, conditions: Sequence[tuple[Names, Names] | str] | None = None) -> MissingTable:
    """Test under missing modalities, with the headline protocol of the one target data set.

    The weights are ``model.load_weights``, or else the newest checkpoint in ``data.save_dir``. A model whose
    ``modality_slices(M)`` says where in a descriptor each modality's own part is, runs once; any other, or one that
    answers None, once for each set of modalities that a side has. Sides that share modalities are compared on these.

    ``missing-<data>.json``, ``.csv`` and ``.md`` are written into ``data.save_dir``; with conditions given, their names
    come behind ``<data>``, as in ``missing-rgbnt201-RGB+NIR-TIR.json``. What of the published test set is not on disk
    stands in each result's note and above the table.

    Args:
        cfg: a tree from ``load_config``.
        conditions: each the names of the modalities that queries and gallery have, ``("RGB", "NIR")`` or ``("visible",
            "near_infrared")``, or the name of a protocol across modalities, ``"rgbnt201 visible-to-thermal_infrared"``;
            the field's table when None.

    Raises:
        ValueError, FileNotFoundError: a configuration, data set or checkpoint that cannot be used, a data set with one
            modality per sample, an unknown modality, or a condition under which nothing can be compared.
    """
    datamanager, name = open_target(cfg)
    loaders = datamanager.test_loader[name]
    modalities = _modalities(name, loaders["query"].dataset)
    protocol = (*loaders["query"].dataset.protocols, MarketProtocol())[0]
    wanted = missing_conditions(modalities) if conditions is None else _chosen(modalities, conditions, protocol)
    engine = trained_engine(cfg, datamanager)
    tested = ModalitySides(engine.model, loaders, bool(cfg.test.normalize_feature), engine.features_of)
    settings = {"metric": cfg.test.dist_metric, "rerank": engine.evaluation.reranking(cfg.test.rerank)}
    incomplete = loaders["query"].dataset.incomplete_note
    outcomes = []
    for condition in wanted:
        results = tested.evaluate(protocol, condition, **settings)
        results = replace(results, note="; ".join(filter(None, (results.note, incomplete))))
        outcomes.append((condition, results))
        logger.info("%s", outcomes[-1][1].line())
    table = MissingTable(outcomes, incomplete)
    suffix = "" if conditions is None else "-" + ",".join(f"{one.query_name}-{one.gallery_name}" for one in wanted)
    _save(table, name, Path(cfg.data.save_dir) / f"missing-{name}{suffix}")
    return table


def _modalities(name: str, dataset: Any) -> tuple[str, ...]:
    if not isinstance(dataset, ModalDataset) or dataset.images_per_sample == 1:
        raise ValueError(
            f"data.targets: a sample of {name} is an image of one modality, so none can be missing from it; choose a "
            "data set whose samples have several, such as rgbnt201"
        )
    return dataset.modalities


def _chosen(
    modalities: tuple[str, ...], conditions: Sequence[tuple[Names, Names] | str], protocol: Any
) -> list[Condition]:
    named = {across.name: across.condition for across in across_modalities(protocol, modalities)}
    spellings = {name: number for number, name in enumerate(modalities)}
    spellings |= {short_name(name): number for number, name in enumerate(modalities)}
    known = {name.lower(): number for name, number in spellings.items()}

    def numbers(names: Names) -> tuple[int, ...]:
        for name in names:
            if name.lower() not in known:
                raise ValueError(f"modality {name!r} is none of {', '.join(spellings)}{did_you_mean(name, spellings)}")
        return tuple(sorted({known[name.lower()] for name in names}))

    def condition(given: tuple[Names, Names] | str) -> Condition:
        if not isinstance(given, str):
            return Condition(modalities, *map(numbers, given))
        if given not in named:
            raise ValueError(f"protocol {given!r} is none of {', '.join(named)}{did_you_mean(given, named)}")
        return named[given]

    return [condition(given) for given in conditions]


def _save(table: MissingTable, name: str, stem: Path) -> None:
    record = {"time": time.strftime("%Y-%m-%dT%H:%M:%S"), "dataset": name, **table.as_dict()}
    for suffix, text in ((".json", json.dumps(record, indent=1)), (".md", table.markdown())):
        write_text(stem.with_name(stem.name + suffix), text)
    save_table(table.columns(), stem.with_name(f"{stem.name}.csv"))
