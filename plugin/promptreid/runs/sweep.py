"""One key of a configuration at several values: a training for each, and a table."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from promptreid.config.merge import merged
from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.engine.distributed.process_group import first_does, process_group
from promptreid.evaluation.tables import Columns, save_table
from promptreid.files import write_text
from promptreid.runs.splits_and_seeds import SCORES, run_several

logger = logging.getLogger(__name__)

Summaries = dict[str, dict[str, Any]]
"""By value of the key, as text, the summary of its trainings by protocol."""


def sweep(cfg: Any, key: str, values: Sequence[str], seeds: int = 1, overwrite: bool = False) -> Summaries:
    """Train with ``key`` at each value, with each seed, in ``data.save_dir/<key>=<value>/seed-<s>``.

    A call after an interruption passes over what is finished and continues what isn't. The outcome is written to
    ``sweep.csv``, ``sweep.md`` and ``sweep.json`` in ``data.save_dir``.

    Args:
        cfg: a tree from ``load_config``.
        key: its full name, such as ``dmpt.semantic_length``.
        values: as on a command line; each once.
        seeds: how many, from ``train.seed`` on.
        overwrite: move what is in ``data.save_dir`` aside.

    Raises:
        ValueError: no such key, a value that it can't have, fewer than two values or one that is given twice.
    """
    if len(values) < 2 or len(set(values)) < len(values):
        raise ValueError(f"values {list(values)}: give at least two, each once")
    run_folder = RunFolder(Path(cfg.data.save_dir))
    folder = run_folder.path
    configs = {
        value: merged(cfg, {key: value, "data.save_dir": str(folder / _folder_name(key, value))}) for value in values
    }
    with process_group(cfg.train.distributed_timeout):
        if overwrite and first_does(folder.exists):
            first_does(run_folder.move_aside)
        summaries = {value: run_several(own, seeds=seeds) for value, own in configs.items()}
        first_does(lambda: _save(folder, key, seeds, summaries))
    return summaries


def _save(folder: Path, key: str, seeds: int, summaries: Summaries) -> None:
    save_table(_columns(key, summaries), folder / "sweep.csv")
    for name, text in (
        ("sweep.md", markdown(key, summaries)),
        ("sweep.json", json.dumps({"key": key, "seeds": seeds, "results": summaries}, indent=1)),
    ):
        write_text(folder / name, text)
    logger.info("%s", markdown(key, summaries))


def markdown(key: str, summaries: Summaries) -> str:
    """A table per protocol: a row per value, mean and standard deviation in per cent."""
    protocols = dict.fromkeys(protocol for summary in summaries.values() for protocol in summary)
    tables = []
    for protocol in protocols:
        rows = [f"| {value} | {' | '.join(_cells(summary[protocol]))} |" for value, summary in summaries.items()]
        head = [f"{protocol}\n", f"| {key} | {' | '.join(SCORES)} |", "|---|" + "---:|" * len(SCORES)]
        tables.append("\n".join([*head, *rows]) + "\n")
    return "\n".join(tables)


def _cells(scores: dict[str, dict[str, float]]) -> list[str]:
    return [f"{100 * scores[name]['mean']:.2f} ± {100 * scores[name]['sd']:.2f}" for name in SCORES]


def _columns(key: str, summaries: Summaries) -> Columns:
    rows = [
        {key: value, "protocol": protocol}
        | {f"{name}_{part}": scores[name][part] for name in SCORES for part in ("mean", "sd")}
        for value, summary in summaries.items()
        for protocol, scores in summary.items()
    ]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _folder_name(key: str, value: str) -> str:
    return re.sub(r"[^\w.=,-]", "_", f"{key}={value}")
