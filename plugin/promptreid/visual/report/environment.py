"""Origin of the weights and the numbers of the runs."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from promptreid.engine.checkpoints import files as checkpoint
from promptreid.retrieval.loading import weights_of
from promptreid.visual.report.content import Block, Cell, Section, Table
from promptreid.visual.report.open_runs import OpenRuns, reason_of
from promptreid.visual.report.run_files import RunFiles

logger = logging.getLogger(__name__)

_BLOCK = 1 << 20

_ABOUT = "The commit and the versions are those of the newest checkpoint: what the training ran with."


def environment_section(runs: OpenRuns, title: str) -> Section:
    """A table with a column for each run."""
    found = [_facts(run) for run in runs.files]
    names = dict.fromkeys(name for facts in found for name in facts)
    rows = [[Cell(name), *(Cell(facts.get(name, "–")) for facts in found)] for name in names]
    table = Table("Origin of the runs", ("", *(run.name for run in runs.files)), rows)
    return Section("environment", title, _ABOUT, [Block([table])])


def _facts(run: RunFiles) -> dict[str, str]:
    state = _tried(lambda: checkpoint.load_newest(run.folder.models)[1])
    facts = {
        "Folder": str(run.folder.path),
        "Model": str(run.config.get("model.name", "–")),
        "Seed": str(run.config.get("train.seed", "–")),
        "Training time": f"{run.elapsed} (its last session)" if run.elapsed else "–",
    }
    tests = [
        f"on {dataset} {record.get('time', '–')}, weights of epoch {record.get('epoch', '–')} of "
        f"{record.get('max_epoch', '–')} ({record.get('selection', '–')})"
        for dataset, record in run.results.items()
    ]
    facts["Tested"] = "; ".join(tests) or "–"
    facts |= _weights(run.folder.path)
    if isinstance(state, str):
        return {**facts, "Checkpoint": state}
    data = state.get("data", {})
    facts |= {
        "Checkpoint": f"after {state['epoch']} epochs, {state.get('processes', 1)} process(es)",
        "Commit": str(state.get("git", "")) or "not a checkout",
        "Training data": f"{data.get('identities', '–')} identities, {data.get('cameras', '–')} cameras, "
        f"{' + '.join(data.get('modalities', [])) or '–'}",
    }
    return facts | {f"Version of {name}": str(version) for name, version in state.get("versions", {}).items()}


def _weights(folder: Path) -> dict[str, str]:
    path = _tried(lambda: weights_of(folder))
    if isinstance(path, str):
        return {"Weights": path}
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            digest.update(block)
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    return {"Weights": f"{path.name}, {size}", "SHA-256 of the weights": digest.hexdigest()}


def _tried(read: Callable[[], Any]) -> Any:
    """What a function reads, or in words why it cannot."""
    try:
        return read()
    except (OSError, ValueError) as error:
        logger.warning("%s", error)
        return reason_of(error)
