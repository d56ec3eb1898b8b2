"""Small files of a run's folder, readable without its data and its model."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptreid.config.keys import flatten
from promptreid.config.load import read_yaml
from promptreid.config.renamed import up_to_date
from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.json_texts import read_json

logger = logging.getLogger(__name__)

_ELAPSED = re.compile(r" Elapsed (\d.*)$", re.MULTILINE)


@dataclass(frozen=True)
class RunFiles:
    """The small files of a run.

    Attributes:
        folder: of the run.
        name: what the report calls it, unlike that of any other run in it.
        config: every key of its configuration, dotted, by its name of today.
        results: the records of ``results-<data set>.json``, by data set.
        metrics: the records of ``metrics.jsonl``.
        elapsed: how long its training took, as its log says; empty where it does not.
        unreadable: of each file that cannot be read, why.
    """

    folder: RunFolder
    name: str
    config: dict[str, Any]
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    elapsed: str = ""
    unreadable: list[str] = field(default_factory=list)


def read_runs(folders: Sequence[Path]) -> list[RunFiles]:
    """The files of runs, which get names that tell them apart.

    Raises:
        FileNotFoundError: a folder that is not there.
        ValueError: a folder that is no run, one that is given twice, or none at all.
    """
    if not folders:
        raise ValueError("a report needs at least one run: name the folder of a training (data.save_dir)")
    for folder in folders:
        _check(folder)
    places = [folder.resolve() for folder in folders]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise ValueError(f"{folders[number]} is given twice; name each run once")
    return [_read(folder, name) for folder, name in zip(folders, distinct_names(places), strict=True)]


def distinct_names(places: Sequence[Path]) -> list[str]:
    """The last folders of different absolute paths, as many as it takes to tell them apart."""
    for count in range(1, max(len(place.parts) for place in places) + 1):
        names = [os.sep.join(place.parts[-count:]) for place in places]
        if len(set(names)) == len(names):
            break
    return names


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such run; name the folder of a training (data.save_dir)")
    run = RunFolder(folder)
    if run.config.is_file():
        return
    parts = [part.path for part in run.parts() if part.config.is_file()]
    if parts:
        raise ValueError(f"{folder} holds several runs: name those to report, such as {' '.join(map(str, parts[:3]))}")
    raise ValueError(f"{folder} is no run's folder: it has no config.yaml; name a folder that training wrote")


def _read(folder: Path, name: str) -> RunFiles:
    run = RunFolder(folder)
    leaves = flatten(read_yaml(run.config))
    config = up_to_date(leaves, {"model.name": leaves.get("model.name", "")})[0]
    results, unreadable = {}, []
    for path in run.results_files():
        try:
            record = read_json(path, "a file of results", "test again")
            results[str(record["dataset"])] = record
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s is left out: %s", path, error)
            unreadable.append(f"{path} is no file of results ({error}); test again: promptreid evaluate {folder}")
    log = run.log.read_text(encoding="utf-8", errors="replace") if run.log.is_file() else ""
    return RunFiles(run, name, config, results, run.metrics.records(), "".join(_ELAPSED.findall(log)[-1:]), unreadable)
