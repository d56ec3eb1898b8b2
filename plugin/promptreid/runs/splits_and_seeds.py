"""Several trainings in a row, one per split of a data set and per seed, and their mean."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from promptreid import host
from promptreid.config import dump_config
from promptreid.engine.checkpoints.resume_check import config_differences, listed
from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.engine.distributed.process_group import first_does, process_group
from promptreid.evaluation.results import Results
from promptreid.files import write_text
from promptreid.json_texts import read_json
from promptreid.runs.run import claimed, run
from promptreid.runs.run_log import run_log

logger = logging.getLogger(__name__)

SCORES = ("rank1", "mAP", "mINP")
_SPLIT = re.compile(r"split-\d+")


class Part(NamedTuple):
    """One of the trainings.

    Attributes:
        folder: where it is.
        split: number of its split, from 1; None for that of ``data.split_id``.
        seed: its seed; None for ``train.seed``.
    """

    folder: Path
    split: int | None
    seed: int | None


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


def run_several(
    cfg: Any, splits: Sequence[int] = (), seeds: int | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Train and test on each split, with each seed, in a folder of its own, then average.

    The folders are ``split-<k>``, ``seed-<s>`` or ``split-<k>/seed-<s>`` in ``data.save_dir``. A call after an
    interruption passes over the trainings that are finished and continues the one it was in.

    Args:
        cfg: a tree from ``load_config``; its ``data.split_id`` and ``train.seed`` are replaced.
        splits: numbers from 1; none for the one of ``cfg``.
        seeds: how many, from ``train.seed`` on; None for that one, without a folder of its own.
        overwrite: move what is in ``data.save_dir`` aside.

    Returns:
        by protocol, mean and sample standard deviation of rank-1, mAP and mINP over all these trainings; also written
        to ``data.save_dir/splits.json``, or ``seeds.json`` where there are no splits.

    Raises:
        ValueError: no seed; splits of a data set that has none; or a finished training had another configuration.
    """
    if seeds is not None and seeds < 1:
        raise ValueError(f"--seeds {seeds}: train with at least one")
    if splits:
        _check_splits(cfg)
    folder = RunFolder(Path(cfg.data.save_dir))
    parts = parts_of(folder, splits, [cfg.train.seed + number for number in range(seeds or 0)])
    # A single training in the folder itself claims it on its own.
    several = parts[0].folder != folder.path
    with process_group(cfg.train.distributed_timeout), claimed(cfg) if several else nullcontext(folder) as folder:
        if overwrite:
            first_does(folder.move_aside)
        for part in parts:
            complete(of_part(cfg, part))
        return first_does(lambda: save_summary(folder.path, parts, splits))


def _check_splits(cfg: Any) -> None:
    names = dict.fromkeys((*cfg.data.sources, *cfg.data.targets))
    if not any(host.takes_split(name) for name in names):
        raise ValueError(
            f"--splits: {', '.join(names)} has a single split, so that each training would be the same; --seeds N "
            "trains with several seeds"
        )


def save_summary(folder: Path, parts: Sequence[Part], splits: Sequence[int]) -> dict[str, Any]:
    """Log the mean of the results of several trainings, and write it as ``splits.json`` or ``seeds.json``."""
    summary = summarise([part.folder for part in parts])
    stem = "splits" if splits else "seeds"
    record = {
        "splits": list(splits),
        "seeds": sorted({part.seed for part in parts if part.seed is not None}),
        "selection": selections([part.folder for part in parts]),
        "results": summary,
    }
    write_text(folder / f"{stem}.json", json.dumps(record, indent=1))
    _log_summary(folder / f"{stem}.txt", record, len(parts))
    return summary


def summarise(folders: Sequence[Path]) -> dict[str, Any]:
    """Mean and sample standard deviation (0 for one run) over the results of several runs, by protocol.

    Protocols of different splits are the same up to the split's number, which is replaced by ``*``.
    """
    values: dict[str, list[list[float]]] = {}
    for record in _records(folders):
        for result in record["results"]:
            scores = [result["rank"]["1"], result["mAP"], result["mINP"]]
            values.setdefault(_without_split(result["protocol"]), []).append(scores)
    return {name: _mean_and_sd(np.array(rows)) for name, rows in values.items()}


def selections(folders: Sequence[Path]) -> dict[str, str]:
    """By protocol, how the weights of several runs were selected: ``last``, ``dev-selected`` or ``test-selected``."""
    labels: dict[str, set[str]] = {}
    for record in _records(folders):
        for result in record["results"]:
            labels.setdefault(_without_split(result["protocol"]), set()).add(record["selection"])
    return {name: ", ".join(sorted(found)) for name, found in labels.items()}


def _records(folders: Sequence[Path]) -> list[dict[str, Any]]:
    files = [file for folder in folders for file in RunFolder(folder).results_files()]
    return [_record(file) for file in files]


def _record(file: Path) -> dict[str, Any]:
    """The content of a file of results.

    Raises:
        ValueError: it lacks what a mean is of.
    """
    record = read_json(file, "a file of results", "test again")
    rows = record.get("results")
    if not isinstance(rows, list) or not all(map(_is_result, rows)) or not isinstance(record.get("selection"), str):
        raise ValueError(f"{file}: no file of results, without selection, protocols or scores; test again")
    return record


def _is_result(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("rank"), dict):
        return False
    scores = (row["rank"].get("1"), row.get("mAP"), row.get("mINP"))
    return isinstance(row.get("protocol"), str) and all(isinstance(score, float | int) for score in scores)


def _without_split(protocol: str) -> str:
    return _SPLIT.sub("split-*", protocol)


def _mean_and_sd(rows: np.ndarray) -> dict[str, dict[str, float]]:
    spread = rows.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros(rows.shape[1])
    return {
        score: {"mean": float(mean), "sd": float(sd)}
        for score, mean, sd in zip(SCORES, rows.mean(axis=0), spread, strict=True)
    }


def _log_summary(path: Path, record: dict[str, Any], trainings: int) -> None:
    with run_log() as log:
        log.to_file(path)
        for protocol, scores in record["results"].items():
            values = [f"{name} {100 * scores[name]['mean']:.2f} ± {100 * scores[name]['sd']:.2f}" for name in SCORES]
            label = record["selection"][protocol]
            logger.info("[%s] %s, mean of %d trainings: %s", label, protocol, trainings, "  ".join(values))


def parts_of(folder: RunFolder, splits: Sequence[int], seeds: Sequence[int]) -> list[Part]:
    """The trainings of each split with each seed; of no splits or no seeds, those of the configuration."""
    pairs = [(split, seed) for split in splits or (None,) for seed in seeds or (None,)]
    return [Part(folder.part(split, seed).path, split, seed) for split, seed in pairs]


def of_part(cfg: Any, part: Part) -> Any:
    own = cfg.clone()
    own.defrost()
    if part.split is not None:
        own.data.split_id = part.split - 1
    if part.seed is not None:
        own.train.seed = part.seed
    own.data.save_dir = str(part.folder)
    own.freeze()
    return own


def complete(cfg: Any) -> dict[str, list[Results]] | None:
    """Train in ``data.save_dir`` what is not finished there, from where it stopped.

    Returns:
        The last results of each target data set; None where nothing was left to do.

    Raises:
        ValueError: a finished training had another configuration.
    """
    return None if first_does(lambda: _is_done(cfg)) else run(cfg, resume="auto")


def _is_done(cfg: Any) -> bool:
    folder = Path(cfg.data.save_dir)
    if not is_finished(folder, cfg.train.max_epoch):
        return False
    written = RunFolder(folder).config
    differences, _ = config_differences(written.read_text(encoding="utf-8"), dump_config(cfg))
    if differences:
        raise ValueError(
            f"{folder} is finished, with another configuration ({listed(differences)}); choose another "
            "data.save_dir, or have the trainings moved aside with --overwrite"
        )
    logger.info("%s is finished", folder)
    return True


def is_finished(folder: Path, epochs: int) -> bool:
    """Whether the final test of a run with that many epochs was written for every data set."""
    records = _records([folder])
    return bool(records) and all(record["final"] and record["max_epoch"] >= epochs for record in records)
