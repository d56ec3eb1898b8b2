"""The runs behind a row of a table: trained where they are not, tested, and read back from their files."""

from __future__ import annotations

from collections.abc import Sequence
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
from promptreid.runs.splits_and_seeds import run_several
from promptreid.runs.tables.table import Row

PER_QUERY = {"test": str, "trial": int, "query": int, "AP": float}
"""Columns of a run's ``per-query.csv``: the protocol or the condition, and the average precision of each valid query,
which is called by its number in the trial."""
UNTRAINED = "untrained"
_HARMLESS = {
    "data.root", "data.save_dir", "data.workers", "data.persistent_workers", "data.pack", "data.decoder",
    "train.print_freq", "train.checkpoint_steps", "test.batch_size",
}  # fmt: skip
"""Keys that may differ between the runs of a table: unlike one that is resumed, it was rendered and tested alike."""


def row_config(row: Row, configs: Path, out: Path, opts: Sequence[str] = ()) -> Any:
    """The configuration of a row, whose runs go into ``<out>/runs/<world>/<key>``.

    Args:
        row: of a table.
        configs: the folder that its file is in.
        out: folder of all tables.
        opts: ``KEY VALUE ...`` for all rows; what a row is about itself wins.

    Raises:
        ValueError, FileNotFoundError: keys or values that cannot be used.
    """
    if "data.save_dir" in opts[::2]:
        raise ValueError("data.save_dir: a table has a folder for each row; say where with --out")
    cfg = merged(load_config(configs / row.config, opts), row.overrides)
    cfg = merged(cfg, {"data.save_dir": str(out / "runs" / Path(row.config).stem / row.key)})
    try:
        validate(cfg, models=host.model_names(), datasets=host.dataset_names())
    except ValueError as error:
        raise ValueError(f"row {row.name!r}: {error}") from None
    cfg.freeze()
    return cfg


def part_configs(row: Row, cfg: Any, seeds: int) -> list[Any]:
    """The configurations of its runs, one for each seed; of an untrained row, its own alone."""
    if not row.trained:
        return [cfg]
    folder = Path(cfg.data.save_dir)
    numbers = [cfg.train.seed + number for number in range(seeds)]
    return [merged(cfg, {"train.seed": seed, "data.save_dir": str(folder / f"seed-{seed}")}) for seed in numbers]


def check_folder(cfg: Any) -> None:
    """Raise ``ValueError`` if the folder of a run holds one of another configuration."""
    written = RunFolder(Path(cfg.data.save_dir)).config
    if not written.exists():
        return
    try:
        found = config_differences(written.read_text(encoding="utf-8"), dump_config(cfg))
    except ValueError as error:
        raise ValueError(f"{written} cannot be read ({error}); move its folder away") from None
    differences = [line for lines in found for line in lines if line.partition(":")[0] not in _HARMLESS]
    if differences:
        raise ValueError(
            f"{written.parent} holds a run of another configuration ({listed(differences)}); choose another --out, or "
            "have the runs of this table moved aside with --overwrite"
        )


def complete_row(row: Row, cfg: Any, seeds: int) -> list[Path]:
    """Train, or only test, what is not finished; the folders of the runs."""
    if row.trained:
        run_several(cfg, seeds=seeds)
    elif not RunFolder(Path(cfg.data.save_dir)).results_files():
        _test_untrained(cfg)
    return [Path(part.data.save_dir) for part in part_configs(row, cfg, seeds)]


def query_scores(row: Row, cfg: Any) -> Columns:
    """Average precisions of every query, :data:`PER_QUERY`, by protocol; the run is tested again where it has no such
    file, or an older one than its results."""
    path = Path(cfg.data.save_dir) / "per-query.csv"
    if not _is_current(path):
        with run_log():
            datamanager, name = open_target(cfg)
            engine = trained_engine(cfg, datamanager) if row.trained else _untrained_engine(cfg, datamanager)
            _test(engine, cfg)
        _save([(result.protocol, result) for result in engine.results[name]], path)
    return load_table(path, PER_QUERY)


def missing_record(cfg: Any) -> tuple[dict[str, Any], Columns]:
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


def _test_untrained(cfg: Any) -> None:
    with run_log() as log, claimed(cfg) as folder:
        datamanager, name = open_target(cfg)
        engine = _untrained_engine(cfg, datamanager)
        folder.prepare(0)
        log.to_file(folder.log)
        write_text(folder.config, dump_config(cfg))
        _test(engine, cfg)
        about = {"epoch": 0, "max_epoch": 0, "final": True, "selection": UNTRAINED}
        folder.save_results(name, engine.results[name], about)


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
