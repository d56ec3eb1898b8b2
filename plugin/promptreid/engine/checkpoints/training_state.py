"""All that a training consists of, as a checkpoint has it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from promptreid.engine.checkpoints.position import Position
from promptreid.engine.checkpoints.provenance import data_record
from promptreid.engine.checkpoints.random_state import git_commit, rng_state, versions
from promptreid.engine.checkpoints.resume_check import config_differences, listed, tensor_differences
from promptreid.engine.distributed.process_group import gather_objects, rank, world_size
from promptreid.engine.epoch_meter import EpochMeter
from promptreid.engine.feature_extraction import split_of

logger = logging.getLogger(__name__)


def capture(engine: Any, meter: EpochMeter | None) -> dict[str, Any]:
    """The state of a ``PromptEngine`` between two optimisation steps: tensors and Python primitives.

    All processes that train together call it; it is that of the first one, with the random states of all.

    Args:
        engine: the engine.
        meter: of the epoch that is going on; None between two epochs.
    """
    position, criterion = engine.position, engine.criterion
    rng, *rng_of_others = gather_objects(rng_state())
    return {
        # torchreid's own
        "state_dict": engine.model.state_dict(),
        "epoch": position.epoch,
        "rank1": float(engine.rank1),
        "optimizer": engine.optimizer.state_dict(),
        "scheduler": {} if engine.scheduler is None else engine.scheduler.state_dict(),
        # ours
        "step": position.step,
        "batches": position.batches,
        "evaluated": position.evaluated,
        "meter": None if meter is None else meter.state_dict(),
        "rng": rng,
        "rng_of_others": rng_of_others,
        "processes": world_size(),
        "criterion": {} if criterion is None else criterion.state_dict(),
        **engine.updater.state_dict(),
        "selection": engine.selector.state_dict(),
        "split": split_of(engine.train_loader.dataset),
        "data": data_record(engine.datamanager),
        "config": engine.config,
        "git": git_commit(),
        "versions": versions(),
    }


def restore(engine: Any, state: dict[str, Any], path: Path) -> None:
    """Put an engine into a captured state, or into that of a checkpoint of torchreid's.

    Args:
        engine: a ``PromptEngine`` with the same model, optimiser and configuration.
        state: of :func:`capture`.
        path: where it was read, for messages.

    Raises:
        ValueError: it belongs to another configuration, model or optimiser, or in the middle of an epoch to another
            number of processes; nothing was changed.
    """
    check_resumable(state, path)
    _check_config(engine.config, state.get("config", ""), path)
    _check_processes(state, path)
    differences = tensor_differences(engine.model.state_dict(), state["state_dict"])
    if differences:
        raise ValueError(
            f"{path} belongs to another model ({listed(differences)}); resume with the configuration that wrote it"
        )
    try:
        engine.optimizer.load_state_dict(state["optimizer"])
        engine.model.load_state_dict(state["state_dict"])
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{path} belongs to another model or optimiser ({str(error).splitlines()[-1].strip()}); "
            "resume with the configuration that wrote it"
        ) from None
    if engine.scheduler is not None:
        engine.scheduler.load_state_dict(state["scheduler"])
    if engine.criterion is not None and state.get("criterion"):
        engine.criterion.load_state_dict(state["criterion"])
    engine.updater.load_state_dict(state)
    if "selection" in state:
        engine.selector.load_state_dict(state["selection"])
    engine.rank1, engine.position = float(state.get("rank1", 0.0)), Position.of(state)
    _tell_versions(state.get("versions", {}))


def check_resumable(state: Mapping[str, Any], path: Path) -> None:
    """Raise ``ValueError`` where a checkpoint lacks what a training goes on from."""
    missing = [name for name in ("epoch", "optimizer", "scheduler") if name not in state]
    if missing:
        raise ValueError(
            f"{path}: has no {', '.join(missing)}, so no training can go on from it; train anew from its weights with "
            "model.load_weights"
        )


def rng_of_process(state: dict[str, Any]) -> dict[str, Any] | None:
    """The random states of this process in a captured state; None where fewer processes, or torchreid, wrote it."""
    states = [state.get("rng"), *state.get("rng_of_others", [])]
    return states[rank()] if rank() < len(states) else None


def _check_processes(state: dict[str, Any], path: Path) -> None:
    """Between two epochs all depends on their number alone; within one, on what each process has drawn so far."""
    written, now = state.get("processes", 1), world_size()
    if written != now and state.get("step"):
        raise ValueError(
            f"{path} was written in the middle of an epoch by {written} processes, and now there are {now}: resume "
            f"with {written} (torchrun --nproc-per-node {written}), or from a checkpoint after an epoch, which any "
            "number of processes can continue"
        )


def _check_config(current: str, written: str, path: Path) -> None:
    if not current or not written:
        return
    try:
        forbidden, allowed = config_differences(written, current)
    except ValueError as error:
        raise ValueError(f"{path}: its configuration cannot be read: {error}") from None
    if forbidden:
        raise ValueError(
            f"{path} was written with another configuration ({listed(forbidden)}); resume with its own, or train anew "
            "from its weights with model.load_weights"
        )
    if allowed:
        logger.info("resumed with other settings: %s", listed(allowed))


def _tell_versions(written: dict[str, str]) -> None:
    now = versions()
    changed = [f"{name} {old}, now {now[name]}" for name, old in written.items() if now.get(name, old) != old]
    if changed:
        logger.warning("resumed with other versions, so the numbers may differ: %s", "; ".join(changed))
