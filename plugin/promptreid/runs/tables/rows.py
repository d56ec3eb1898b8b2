"""The runs behind a row of a table: trained where they are not, tested, and read back from their files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from promptreid import host
from promptreid.config import dump_config, load_config, validate
from promptreid.config.merge import merged
from promptreid.engine.checkpoints.resume_check import config_differences, listed
from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.engine.train_engine import PromptEngine
from promptreid.evaluation.results import Results
from promptreid.evaluation.tables import Columns, load_table, save_table
from promptreid.files import write_text
from promptreid.json_texts import read_json
from promptreid.runs.build import build_engine, build_model
from promptreid.runs.load_trained import open_target, trained_engine
from promptreid.runs.missing_modalities import evaluate_missing
from promptreid.runs.run import claimed
from promptreid.runs.run_log import run_log
from promptreid.runs.splits_and_seeds import complete, is_finished
from promptreid.runs.tables.made_with import code_commit, commit_of_checkpoint, save_made_with
from promptreid.runs.tables.table import Row
from promptreid.runs.tables.worlds import in_world

PER_QUERY = {"test": str, "trial": int, "query": int, "AP": float}
"""Columns of a run's ``per-query.csv``: the protocol or the condition, and the average precision of each valid query,
which is called by its number in the trial."""
UNTRAINED = "untrained"
NO_SEED = 0
"""Stands for the seed of a row that isn't trained."""
HARMLESS = {
    "data.root", "data.save_dir", "data.workers", "data.persistent_workers", "data.pack", "data.decoder",
    "train.print_freq", "train.checkpoint_steps", "test.batch_size",
}  # fmt: skip
"""Keys that may differ between the runs of a table: unlike one that is resumed, it was rendered and tested alike."""


@dataclass(frozen=True, eq=False)
class Training:
    """One of a row's runs.

    Attributes:
        row: of a table.
        cfg: its whole configuration, with the seeds and folders of this run.
        world: seed of what is rendered.
        seed: of the training; :data:`NO_SEED` where nothing is trained.
        missing: it is tested under missing modalities.
    """

    row: Row
    cfg: Any
    world: int
    seed: int
    missing: bool = False

    @property
    def folder(self) -> Path:
        """Where it is."""
        return Path(self.cfg.data.save_dir)

    @property
    def name(self) -> str:
        """The row, the world and the seed, in words."""
        return f"{self.row.name}, world {self.world}" + (f", seed {self.seed}" if self.row.trained else "")

    def is_done(self) -> bool:
        """Whether it is trained and tested, and its queries' outcomes are written."""
        folder = self.folder
        finished = is_finished(folder, self.cfg.train.max_epoch if self.row.trained else 0)
        return finished and _is_current(folder / ("missing-per-query.csv" if self.missing else "per-query.csv"))


def row_config(
    row: Row,
    configs: Path,
    out: Path,
    opts: Sequence[str] = (),
    more: Mapping[str, Any] | None = None,
    overlays: Sequence[Path] = (),
) -> Any:
    """The configuration of a row, whose runs go into ``<out>/runs/<world>/<key>``.

    Args:
        row: of a table.
        configs: the folder that its file is in.
        out: folder of all tables.
        opts: ``KEY VALUE ...`` for all rows; what a row is about itself wins.
        more: values by dotted key that win over that, too.
        overlays: files that are laid over its configuration.

    Raises:
        ValueError, FileNotFoundError: keys or values that cannot be used.
    """
    if "data.save_dir" in opts[::2]:
        raise ValueError("data.save_dir: a table has a folder for each row; say where with --out")
    cfg = load_config(configs / row.config, opts, overlays=overlays)
    cfg = merged(cfg, {**row.overrides, **(more or {})})
    cfg = merged(cfg, {"data.save_dir": str(out / "runs" / Path(row.config).stem / row.key)})
    try:
        validate(cfg, models=host.model_names(), datasets=host.dataset_names())
    except ValueError as error:
        raise ValueError(f"row {row.name!r}: {error}") from None
    cfg.freeze()
    return cfg


def trainings_of(row: Row, cfg: Any, worlds: Sequence[int], seeds: int, missing: bool = False) -> list[Training]:
    """The runs of a row: in each world one for each seed, or a single one where nothing is trained."""
    found = []
    for world in worlds:
        own = in_world(cfg, world)
        if not row.trained:
            found.append(Training(row, own, world, NO_SEED, missing))
            continue
        for seed in range(cfg.train.seed, cfg.train.seed + seeds):
            folder = str(Path(own.data.save_dir) / f"seed-{seed}")
            part = merged(own, {"train.seed": seed, "data.save_dir": folder})
            found.append(Training(row, part, world, seed, missing))
    return found


def check_folder(cfg: Any) -> None:
    """Raise ``ValueError`` if the folder of a run holds one of another configuration."""
    written = RunFolder(Path(cfg.data.save_dir)).config
    if not written.exists():
        return
    there, wanted = written.read_text(encoding="utf-8"), dump_config(cfg)
    if there == wanted:
        return
    try:
        found = config_differences(there, wanted)
    except ValueError as error:
        raise ValueError(f"{written} cannot be read ({error}); move its folder away") from None
    differences = [line for lines in found for line in lines if line.partition(":")[0] not in HARMLESS]
    if differences:
        raise ValueError(
            f"{written.parent} holds a run of another configuration ({listed(differences)}); choose another --out, or "
            "have the runs of this table moved aside with --overwrite"
        )


def complete_training(training: Training, commit: str | None = None) -> None:
    """Train and test what isn't finished, write its queries' outcomes, and what it was made with.

    Args:
        training: of a row.
        commit: of the code; asked for when None.
    """
    cfg, row, folder = training.cfg, training.row, training.folder
    if not is_finished(folder, cfg.train.max_epoch if row.trained else 0):
        commits = [commit_of_checkpoint(folder), code_commit() if commit is None else commit]
        results = complete(cfg) if row.trained else _test_untrained(cfg)
        save_made_with(folder, commits)
        if results and not training.missing:
            _save_queries(training, results)
    query_scores(training)


def query_scores(training: Training) -> Columns:
    """Average precisions of every query, :data:`PER_QUERY`, by protocol, or by condition of missing modalities.

    The run is tested again where it has no such file, or an older one than its results.
    """
    cfg = training.cfg
    if training.missing:
        return _missing(cfg)[1]
    path = training.folder / "per-query.csv"
    if not _is_current(path):
        with run_log():
            datamanager, name = open_target(cfg)
            engine = (trained_engine if training.row.trained else _untrained_engine)(cfg, datamanager)
            _test(engine, cfg)
        _save_queries(training, {name: engine.results[name]})
    return load_table(path, PER_QUERY)


def _save_queries(training: Training, results: Mapping[str, Sequence[Results]]) -> None:
    """Of the table's data set, the first that is tested."""
    first = next(iter(results.values()))
    _save([(result.protocol, result) for result in first], training.folder / "per-query.csv")


def run_scores(training: Training) -> list[dict[str, Any]]:
    """What came of a run: by protocol, or by condition, ``protocol``, ``condition``, ``selection``, ``mAP``,
    ``rank1``."""
    records = [json.loads(file.read_text(encoding="utf-8")) for file in RunFolder(training.folder).results_files()]
    if training.missing:
        selection, found = records[0]["selection"], _missing(training.cfg)[0]["conditions"]
        return [_scores(result, selection, result["condition"]) for result in found]
    return [_scores(result, record["selection"]) for record in records for result in record["results"]]


def _scores(result: Mapping[str, Any], selection: str, condition: str = "") -> dict[str, Any]:
    return {
        "protocol": result["protocol"],
        "condition": condition,
        "selection": selection,
        "mAP": result["mAP"],
        "rank1": result["rank"]["1"],
    }


def _missing(cfg: Any) -> tuple[dict[str, Any], Columns]:
    """The table of a run under missing modalities, as its JSON file has it, and :data:`PER_QUERY` by condition."""
    path = Path(cfg.data.save_dir) / "missing-per-query.csv"
    name = (cfg.data.targets or cfg.data.sources)[0]
    record = path.with_name(f"missing-{name}.json")
    if not (_is_current(path) and record.exists()):
        with run_log():
            outcomes = evaluate_missing(cfg).outcomes
        _save([(condition.name, results) for condition, results in outcomes], path)
    return read_json(record, "a table of conditions", "remove it to test again"), load_table(path, PER_QUERY)


def _untrained_engine(cfg: Any, datamanager: Any) -> PromptEngine:
    use_gpu = torch.cuda.is_available()
    model = build_model(cfg, datamanager, use_gpu)
    engine = build_engine(cfg, datamanager, model.cuda() if use_gpu else model, use_gpu)
    engine.set_model_mode("eval")
    return engine


def _test_untrained(cfg: Any) -> dict[str, list[Results]]:
    with run_log() as log, claimed(cfg) as folder:
        datamanager, name = open_target(cfg)
        engine = _untrained_engine(cfg, datamanager)
        folder.prepare(0)
        log.to_file(folder.log)
        write_text(folder.config, dump_config(cfg))
        _test(engine, cfg)
        about = {"epoch": 0, "max_epoch": 0, "final": True, "selection": UNTRAINED}
        folder.save_results(name, engine.results[name], about)
    return {name: engine.results[name]}


def _test(engine: PromptEngine, cfg: Any) -> None:
    """As the run's own tests are made; nothing is written."""
    engine.test(dist_metric=cfg.test.dist_metric, normalize_feature=cfg.test.normalize_feature, rerank=cfg.test.rerank)


def _is_current(path: Path) -> bool:
    """Whether a file that is made from a run's results is there, and not older than these."""
    newest = max(file.stat().st_mtime_ns for file in RunFolder(path.parent).results_files())
    return path.exists() and path.stat().st_mtime_ns >= newest


def _save(results: Sequence[tuple[str, Results]], path: Path) -> None:
    parts = [
        {
            "test": np.full(int(ranks.valid.sum()), name),
            "trial": np.full(int(ranks.valid.sum()), trial),
            "query": np.flatnonzero(ranks.valid),
            "AP": ranks.average_precision[ranks.valid],
        }
        for name, result in results
        for trial, ranks in enumerate(result.ranks)
    ]
    save_table({name: np.concatenate([part[name] for part in parts]) for name in PER_QUERY}, path)
