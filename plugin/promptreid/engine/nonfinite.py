"""The end of a training whose loss is no number."""

from __future__ import annotations

from typing import Any, NoReturn

from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.engine.distributed.process_group import gather_objects


def refuse_nonfinite(
    folder: RunFolder | None, epoch: int, number: int, loss: float, summary: dict[str, float], data: dict[str, Any]
) -> NoReturn:
    """Write which batch has ended a training, where this process writes, and end it; all processes call it.

    Args:
        folder: of the run; None in processes that write nothing.
        epoch, number: of the batch, counted from 1.
        loss: NaN or infinity.
        summary: the parts of the loss.
        data: the batch.

    Raises:
        ValueError: always.
    """
    own = [getattr(path, "paths", str(path)) for path in data.get("impath", [])]
    files = [path for share in gather_objects(own) for path in share]
    batch = {"epoch": epoch, "batch": number, "loss": str(loss)}
    parts = {name: str(value) for name, value in summary.items()}
    where = "" if folder is None else folder.save_nonfinite({**batch, "parts": parts, "files": files})
    raise ValueError(
        f"the loss is {loss} in epoch {epoch}, batch {number}"
        + (f" (its files: {where})" if where else "")
        + "; the last checkpoint is from before: train anew with a lower train.lr, with train.clip_norm, or with "
        "train.amp_dtype bfloat16"
    )
