"""The end of a training whose loss is no number any more."""

from __future__ import annotations

import math
from typing import Any, NoReturn

from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.engine.distributed.process_group import gather_objects


def check_finite(
    loss: float, parts: dict[str, float], data: dict[str, Any], place: dict[str, int], folder: RunFolder | None
) -> None:
    """Raise ``ValueError`` unless a loss is finite, and have the batch's files in the folder; all processes.

    Args:
        loss: the total.
        parts: of it, by name.
        data: this process's share of the batch.
        place: ``epoch`` and ``batch``, from 1.
        folder: of the run, in the process that writes.
    """
    if not math.isfinite(loss):
        _refuse(loss, parts, data, place, folder)


def _refuse(
    loss: float, parts: dict[str, float], data: dict[str, Any], place: dict[str, int], folder: RunFolder | None
) -> NoReturn:
    own = [getattr(path, "paths", str(path)) for path in data.get("impath", [])]
    record = {
        **place,
        "loss": str(loss),
        "parts": {name: str(value) for name, value in parts.items()},
        "files": [path for share in gather_objects(own) for path in share],
    }
    where = "" if folder is None else folder.save_nonfinite(record)
    raise ValueError(
        f"the loss is {loss} in epoch {place['epoch']}, batch {place['batch']}"
        + (f" (its files: {where})" if where else "")
        + "; the last checkpoint is from before: train anew with a lower train.lr, with train.clip_norm, or with "
        "train.amp_dtype bfloat16"
    )
