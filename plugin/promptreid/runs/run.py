"""One training or evaluation run, from a configuration to files in a folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from promptreid import host, synthetic
from promptreid.config import dump_config, validate
from promptreid.config.keys import did_you_mean
from promptreid.config.kwargs import engine_run_kwargs
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.checkpoints.loader_workers import deaths_explained
from promptreid.engine.checkpoints.provenance import data_behind
from promptreid.engine.checkpoints.random_state import random_states_kept, seed_everything
from promptreid.engine.checkpoints.run_folder import RunFolder, expected_checkpoint_bytes
from promptreid.engine.distributed.process_group import barrier, first_does, process_group, together
from promptreid.engine.train_engine import PromptEngine
from promptreid.evaluation.results import Results
from promptreid.files import NO_ROOM, FolderInUse, explained_writes, user_of, waited_for, write_text
from promptreid.runs.build import build_datamanager, build_engine, build_model, start_from_data
from promptreid.runs.run_log import RunLog, run_log

logger = logging.getLogger(__name__)
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_REMEDY = "checkpoints that are there are whole: make room, then continue with --resume"


def run(
    cfg: Any, *, eval_only: bool = False, resume: str | None = None, overwrite: bool = False
) -> dict[str, list[Results]]:
    """Train and test, or only test, as ``cfg`` says.

    The folder ``data.save_dir`` gets ``config.yaml``, ``log.txt``, TensorBoard's event file, ``metrics.jsonl``,
    ``results-<data>.json`` and, in ``model``, checkpoints and weights. Before the data and the model are known to be
    good, nothing but its lock is in there, and a run that fails until then leaves no new folder. A training does not
    start in the folder of another one, unless that one has ended before it wrote a loss or a checkpoint and is moved
    aside. It keeps its own to itself while it lasts: a test beside it writes ``results-<data>.eval.json`` alone.

    Under torchrun its processes do this together: each has its share of every batch, and the first one writes.

    Args:
        cfg: a tree from ``load_config``.
        eval_only: test ``model.load_weights``, or else the weights of the run in ``data.save_dir``.
        resume: a checkpoint file or a run's folder; ``"auto"`` continues ``data.save_dir`` where it has a checkpoint,
            and starts anew where it has none. A run that has all its epochs is tested once more.
        overwrite: move an earlier run in ``data.save_dir`` aside.

    Returns:
        the last results of each target data set, the headline protocol first.

    Raises:
        ValueError, FileNotFoundError: a configuration, data set, folder or checkpoint that cannot be used, or a folder
            in which another process trains.
        KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM, with a checkpoint written.
    """
    eval_only = eval_only or cfg.test.evaluate
    kernels = deterministic_kernels(cfg.train.deterministic)
    with process_group(cfg.train.distributed_timeout), run_log() as log, kernels, random_states_kept():
        first_does(lambda: validate(cfg, host.model_names(), host.dataset_names(), training=not eval_only))
        with claimed(cfg, guest=eval_only) as folder:
            source = first_does(lambda: _source(cfg, folder, eval_only, resume, overwrite))
            first_does(lambda: render_if_absent(cfg))
            engine = together(lambda: _loaded_engine(cfg, folder, eval_only, source))
            aside = overwrite or (not eval_only and resume != "auto" and first_does(folder.died_at_start))
            with explained_writes(Path(cfg.data.save_dir), _REMEDY, only=NO_ROOM), deaths_explained():
                first_does(lambda: _open_folder(folder, engine, cfg, log, eval_only, aside))
                engine.run(**{**engine_run_kwargs(cfg), "test_only": eval_only, "guest": folder.guest})
            barrier()
    return engine.results


@contextmanager
def claimed(cfg: Any, guest: bool = False) -> Iterator[RunFolder]:
    """``data.save_dir``, which no other process trains in during the block; all processes call it, the first one locks.

    Args:
        cfg: a tree from ``load_config``.
        guest: where another process has the folder, go on as its guest.

    Raises:
        ValueError: another process has the folder, or it cannot be written to.
    """
    folder = RunFolder(Path(cfg.data.save_dir))
    try:
        folder.guest = not first_does(lambda: _is_locked(folder, guest))
        yield folder
    finally:
        folder.unlock()


def _is_locked(folder: RunFolder, guest: bool) -> bool:
    try:
        folder.lock()
    except FolderInUse:
        if not guest:
            raise
        user = user_of(folder.path) or "another process"
        logger.warning("%s is in use by %s: reading only, results go to *.eval.json", folder.path, user)
        return False
    return True


def trained_data(cfg: Any) -> dict[str, Any] | None:
    """What the weights to be tested say of their training data; None where they say nothing."""
    path = Path(cfg.model.load_weights or cfg.data.save_dir)
    return data_behind(RunFolder(path).weights if path.is_dir() else path)


def render_if_absent(cfg: Any) -> None:
    """Render the synthetic data set of ``data.synthetic``, when one is asked for and not there.

    Raises:
        ValueError: the folder holds other images than those asked for.
    """
    wanted = cfg.data.synthetic
    if not wanted.like:
        return
    if wanted.like not in synthetic.FOLDERS:
        near = did_you_mean(wanted.like, synthetic.FOLDERS)
        raise ValueError(f"data.synthetic.like: {wanted.like!r} is none of {', '.join(synthetic.FOLDERS)}{near}")
    folder = Path(cfg.data.root) / synthetic.FOLDERS[wanted.like]
    what = _recipe(wanted)
    if not folder.exists():
        # Several processes may want it at a time; those that waited find it there.
        with waited_for(folder.with_name(f".{folder.name}.rendering")):
            if not folder.exists():
                logger.info("rendering %d identities into %s", wanted.ids, folder)
                synthetic.write_tree(wanted.like, folder, **what)
                return
    synthetic.check_manifest(folder, wanted.like, **what)


def _recipe(wanted: Any) -> dict[str, Any]:
    """What the keys ``data.synthetic.*`` ask for."""
    same = {name: wanted[name] for name in ("ids", "seed", "frames", "renderer")}
    return {**same, "size": tuple(wanted.size) or None, "test_ids": wanted.test_ids or None}


@contextmanager
def deterministic_kernels(wanted: bool) -> Iterator[None]:
    """Within the block, torch uses only kernels that give the same bits each time (``train.deterministic``), or all.

    Afterwards its settings are what they were.
    """
    cuda, cudnn, workspace = torch.backends.cuda, torch.backends.cudnn, os.environ.get(_WORKSPACE)
    algorithms = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    before = cudnn.benchmark, cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled()
    try:
        torch.use_deterministic_algorithms(wanted)
        cudnn.benchmark = not wanted
        # The fused attention kernels of CUDA accumulate gradients in no fixed order.
        cuda.enable_flash_sdp(not wanted)
        cuda.enable_mem_efficient_sdp(not wanted)
        if wanted:
            os.environ.setdefault(_WORKSPACE, ":4096:8")
        yield
    finally:
        torch.use_deterministic_algorithms(algorithms, warn_only=warn_only)
        cudnn.benchmark = before[0]
        cuda.enable_flash_sdp(before[1])
        cuda.enable_mem_efficient_sdp(before[2])
        if workspace is None:
            os.environ.pop(_WORKSPACE, None)


def _loaded_engine(cfg: Any, folder: RunFolder, eval_only: bool, source: Path | None) -> PromptEngine:
    """The engine with the weights that it starts from, with all checked that can be before the first step."""
    use_gpu = torch.cuda.is_available()
    seed_everything(cfg.train.seed)
    datamanager = build_datamanager(cfg, use_gpu, trained_data(cfg) if eval_only else None)
    model = _build_initial_model(cfg, datamanager, use_gpu, weights_follow=eval_only or source is not None)
    if not eval_only and source is None:
        start_from_data(model, cfg, datamanager)
    engine = build_engine(cfg, datamanager, model, use_gpu)
    engine.check_protocols()
    if not eval_only:
        engine.selector.check()
    _restore(engine, cfg, folder, eval_only, source)
    return engine


def _build_initial_model(cfg: Any, datamanager: Any, use_gpu: bool, weights_follow: bool) -> nn.Module:
    model = build_model(cfg, datamanager, use_gpu, weights_follow=weights_follow)
    trained = sum(parameter.numel() for parameter in model.parameters())
    logger.info("%s: %.2f M trained parameters", cfg.model.name, trained / 1e6)
    return model.cuda() if use_gpu else model


def _source(cfg: Any, folder: RunFolder, eval_only: bool, resume: str | None, overwrite: bool) -> Path | None:
    """The checkpoint or run folder to continue, None for a run that starts anew; the folder may be used."""
    source = _resumed_from(cfg, folder, resume)
    _check_folder(folder, source, eval_only or resume == "auto", overwrite)
    return source


def _resumed_from(cfg: Any, folder: RunFolder, resume: str | None) -> Path | None:
    if resume == "auto":
        return folder.path if checkpoint.checkpoints(folder.models) else None
    source = resume or cfg.model.resume
    return Path(source) if source else None


def _check_folder(folder: RunFolder, source: Path | None, may_be_used: bool, overwrite: bool) -> None:
    """Refuse to mix two runs in one folder."""
    if overwrite and (source is not None or may_be_used):
        raise ValueError("--overwrite trains anew: leave out --resume (model.resume) and --eval-only (test.evaluate)")
    if overwrite:
        folder.check_overwritable()
    owned = source is not None and folder.owns(source)
    if folder.holds_run() and not (may_be_used or owned or overwrite or folder.died_at_start()):
        raise ValueError(
            f"data.save_dir {folder.path} holds a run already: continue it with --resume, choose another "
            "data.save_dir, or have it moved aside with --overwrite"
        )


def _restore(engine: PromptEngine, cfg: Any, folder: RunFolder, eval_only: bool, source: Path | None) -> None:
    """Load what the run starts from."""
    if source is not None:
        engine.resume(source)
    elif cfg.model.load_weights:
        engine.load_weights(Path(cfg.model.load_weights), strict=eval_only)
    elif eval_only:
        if not checkpoint.checkpoints(folder.models):
            raise FileNotFoundError(
                f"model.load_weights is not set and {folder.path} has no checkpoint: nothing to test"
            )
        engine.load_weights(folder.path, strict=True)


def _open_folder(folder: RunFolder, engine: PromptEngine, cfg: Any, log: RunLog, eval_only: bool, aside: bool) -> None:
    if folder.guest:
        return  # everything in it is another's
    if aside:
        folder.move_aside()
    copies = bool(cfg.train.ema) + (cfg.test.select != "last")
    folder.prepare(0 if eval_only else expected_checkpoint_bytes(engine.model, copies))
    log.to_file(folder.log)
    if engine.resumed_from is not None and not eval_only and folder.owns(engine.resumed_from):
        checkpoint.set_aside_newer(engine.resumed_from)
    if eval_only and folder.config.exists():
        return  # the run's own
    write_text(folder.config, dump_config(cfg))
