"""Several trainings in a row, one per split of a data set, and their mean."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from promptreid.engine import checkpoint
from promptreid.engine.logs import run_log
from promptreid.engine.runner import run

logger = logging.getLogger(__name__)

SCORES = ("rank1", "mAP", "mINP")


def parse_splits(text: str) -> list[int]:
    """Numbers from 1, as ``"3"``, ``"1-10"`` or ``"1,4,7-9"``; sorted, each once.

    Raises:
        ValueError: not of that form, or a number below 1.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last:
            raise ValueError(f"--splits {text!r}: expected numbers from 1, such as 3, 1-10 or 1,4,7-9")
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def run_splits(cfg: Any, splits: Sequence[int]) -> dict[str, Any]:
    """Train and test on each split in its own folder ``data.save_dir/split-<k>``, then average.

    A call after an interruption passes over the splits that are finished and continues the one it was in.

    Args:
        cfg: a tree from ``load_config``; its ``data.split_id`` is replaced.
        splits: numbers from 1.

    Returns:
        by protocol, mean and sample standard deviation of rank-1, mAP and mINP over the splits; also written to
        ``data.save_dir/splits.json``.
    """
    folder = Path(cfg.data.save_dir)
    for split in splits:
        part = folder / f"split-{split}"
        if _finished(part, cfg.train.max_epoch):
            logger.info("split %d is finished: %s", split, part)
            continue
        run(_of_split(cfg, split, part), resume="auto")
    summary = summarise([folder / f"split-{split}" for split in splits])
    with checkpoint.atomic_write(folder / "splits.json") as file:
        file.write(json.dumps({"splits": list(splits), "results": summary}, indent=1).encode())
    with run_log() as log:
        log.to_file(folder / "splits.txt")
        for protocol, scores in summary.items():
            parts = [f"{name} {100 * scores[name]['mean']:.2f} ± {100 * scores[name]['sd']:.2f}" for name in SCORES]
            logger.info("%s, mean of %d trainings: %s", protocol, len(splits), "  ".join(parts))
    return summary


def summarise(folders: Sequence[Path]) -> dict[str, Any]:
    """Mean and sample standard deviation (0 for one run) over the results of several runs, by protocol.

    Protocols of different splits are the same up to the split's number, which is replaced by ``*``.
    """
    values: dict[str, list[list[float]]] = {}
    for folder in folders:
        number = folder.name.rpartition("-")[2]
        for file in sorted(folder.glob("results-*.json")):
            for result in json.loads(file.read_text())["results"]:
                name = result["protocol"].replace(f"split-{number}", "split-*")
                values.setdefault(name, []).append([result["rank"]["1"], result["mAP"], result["mINP"]])
    return {name: _mean_and_sd(np.array(rows)) for name, rows in values.items()}


def _mean_and_sd(rows: np.ndarray) -> dict[str, dict[str, float]]:
    spread = rows.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros(rows.shape[1])
    return {
        score: {"mean": float(mean), "sd": float(sd)}
        for score, mean, sd in zip(SCORES, rows.mean(axis=0), spread, strict=True)
    }


def _of_split(cfg: Any, split: int, folder: Path) -> Any:
    part = cfg.clone()
    part.defrost()
    part.data.split_id = split - 1
    part.data.save_dir = str(folder)
    part.freeze()
    return part


def _finished(folder: Path, epochs: int) -> bool:
    """Whether the run's final test was written; the results file says which epoch it belongs to."""
    results = [json.loads(file.read_text()) for file in folder.glob("results-*.json")]
    return bool(results) and all(record["epoch"] + 1 >= epochs for record in results)
