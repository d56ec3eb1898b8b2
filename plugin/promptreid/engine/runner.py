"""One training or evaluation run, from a configuration to files in a folder."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from promptreid import host
from promptreid.config import dump_config, validate
from promptreid.config.keys import did_you_mean
from promptreid.config.kwargs import engine_run_kwargs
from promptreid.datasets import synthetic
from promptreid.engine import checkpoint
from promptreid.engine.build import build_datamanager, build_engine, build_model
from promptreid.engine.logs import RunLog, run_log
from promptreid.engine.prompt_engine import PromptEngine, seed_everything
from promptreid.evaluation.results import Results

logger = logging.getLogger(__name__)


def run(cfg: Any, *, eval_only: bool = False, resume: str | None = None) -> dict[str, list[Results]]:
    """Train and test, or only test, as ``cfg`` says.

    The folder ``data.save_dir`` gets ``config.yaml``, ``log.txt``, TensorBoard's event file, ``results-<data>.json``
    and ``model/model.pth.tar-<epoch>``. It is created only after the data and the model are known to be good. An
    earlier run in it is moved aside, unless it is resumed or evaluated.

    Args:
        cfg: a tree from ``load_config``.
        eval_only: test ``model.load_weights``, or else the run's newest checkpoint.
        resume: a checkpoint file or a run's folder; ``"auto"`` continues ``data.save_dir`` where it has a checkpoint.
            A run that has all its epochs is tested once more.

    Returns:
        the last results of each target data set, the headline protocol first.

    Raises:
        ValueError, FileNotFoundError: a configuration, data set or checkpoint that cannot be used.
    """
    validate(cfg, models=host.model_names(), datasets=host.dataset_names())
    eval_only = eval_only or cfg.test.evaluate
    folder = Path(cfg.data.save_dir)
    with run_log() as log:
        use_gpu = torch.cuda.is_available()
        use_deterministic_kernels(cfg.train.deterministic)
        render_if_absent(cfg)
        seed_everything(cfg.train.seed)
        datamanager = build_datamanager(cfg, use_gpu)
        source = _resumed_from(cfg, folder, resume)
        model = _build_initial_model(cfg, datamanager, use_gpu, weights_follow=eval_only or source is not None)
        engine = build_engine(cfg, datamanager, model, use_gpu)
        engine.check_protocols()
        start = _restore(engine, cfg, folder, eval_only, source)
        _open_folder(folder, cfg, log, keep=eval_only or start > 0)
        engine.writer = SummaryWriter(log_dir=str(folder))
        arguments = engine_run_kwargs(cfg)
        engine.run(**{**arguments, "start_epoch": start or arguments["start_epoch"], "test_only": eval_only})
        engine.writer.close()
    return engine.results


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
    if folder.exists():
        synthetic.check_manifest(
            folder, wanted.like, ids=wanted.ids, seed=wanted.seed, frames=wanted.frames, size=tuple(wanted.size)
        )
        return
    logger.info("rendering %d identities into %s", wanted.ids, folder)
    synthetic.write_tree(
        wanted.like, folder, ids=wanted.ids, seed=wanted.seed, frames=wanted.frames, size=tuple(wanted.size)
    )


def use_deterministic_kernels(wanted: bool) -> None:
    """Let torch use only kernels that give the same bits each time (``train.deterministic``), or all again."""
    torch.use_deterministic_algorithms(wanted)
    torch.backends.cudnn.benchmark = not wanted
    # The fused attention kernels of CUDA accumulate gradients in no fixed order.
    torch.backends.cuda.enable_flash_sdp(not wanted)
    torch.backends.cuda.enable_mem_efficient_sdp(not wanted)
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def _build_initial_model(cfg: Any, datamanager: Any, use_gpu: bool, weights_follow: bool) -> nn.Module:
    if weights_follow and host.is_ours("model", cfg.model.name):
        # A checkpoint holds every weight of this model, so there is no need for the backbone's file.
        cfg = cfg.clone()
        cfg.defrost()
        cfg.model.pretrained = False
    model = build_model(cfg, datamanager, use_gpu)
    trained = sum(parameter.numel() for parameter in model.parameters())
    logger.info("%s: %.2f M trained parameters", cfg.model.name, trained / 1e6)
    return model.cuda() if use_gpu else model


def _resumed_from(cfg: Any, folder: Path, resume: str | None) -> Path | None:
    """The checkpoint or run folder to continue; None for a run that starts anew."""
    if resume == "auto":
        return folder if checkpoint.checkpoints(folder / "model") else None
    source = resume or cfg.model.resume
    return Path(source) if source else None


def _restore(engine: PromptEngine, cfg: Any, folder: Path, eval_only: bool, source: Path | None) -> int:
    """Load what the run starts from; the number of epochs already done."""
    if source is not None:
        done = engine.resume(source)
        engine.epoch = done - 1  # torchreid names a finished run's final test and checkpoint after this epoch
        return done
    if cfg.model.load_weights:
        engine.load_weights(Path(cfg.model.load_weights), strict=eval_only)
    elif eval_only:
        if not checkpoint.checkpoints(folder / "model"):
            raise FileNotFoundError(f"model.load_weights is not set and {folder} has no checkpoint: nothing to test")
        engine.load_weights(folder, strict=True)
    return 0


def _open_folder(folder: Path, cfg: Any, log: RunLog, keep: bool) -> None:
    if not keep and (folder / "config.yaml").exists():
        number = next(n for n in range(1, 10_000) if not folder.with_name(f"{folder.name}.{n}").exists())
        aside = folder.rename(folder.with_name(f"{folder.name}.{number}"))
        logger.info("an earlier run was moved to %s", aside)
    folder.mkdir(parents=True, exist_ok=True)
    log.to_file(folder / "log.txt")
    with checkpoint.atomic_write(folder / "config.yaml") as file:
        file.write(dump_config(cfg).encode())
