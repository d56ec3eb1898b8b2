"""The loss of a batch: a criterion on the model's whole output, or torchreid's own losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from promptreid import host
from promptreid.models.outputs import PromptOutput

OUTPUTS = ("softmax", "triplet")
"""What a model may have been built for, if there is no criterion: it returns logits, or logits and features."""


def criterion_loss(criterion: Any, output: Any, pids: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The total of a criterion on a model's output, and by name: total, parts, accuracy of the first logits.

    Args:
        criterion: returns the total, or the total and a dict of its parts.
        output: a ``PromptOutput``, or the logits and features that a model of torchreid gives.
        pids: shape (B,).
    """
    if not isinstance(output, Mapping):
        output = PromptOutput(zip(("logits", "features"), map(_as_list, output), strict=True))
    loss = criterion(output, pids)
    loss, parts = loss if isinstance(loss, tuple) else (loss, {})
    return loss, {"loss": loss, **parts, "acc": _accuracy(output["logits"], pids)}


def _as_list(heads: Any) -> list[Tensor]:
    return list(heads) if isinstance(heads, list | tuple) else [heads]


def host_loss(engine: Any, output: Any, pids: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The total that torchreid's softmax or triplet engine trains with, and its parts as they name them."""
    if engine.loss == "softmax":
        loss = engine.compute_loss(engine.criterion_x, output, pids)
        return loss, {"loss": loss, "acc": _accuracy(output, pids)}
    logits, features = output
    total: Any = 0
    parts: dict[str, Tensor] = {}
    if engine.weight_t > 0:
        parts["loss_t"] = engine.compute_loss(engine.criterion_t, features, pids)
        total = total + engine.weight_t * parts["loss_t"]
    if engine.weight_x > 0:
        parts["loss_x"] = engine.compute_loss(engine.criterion_x, logits, pids)
        total = total + engine.weight_x * parts["loss_x"]
        parts["acc"] = _accuracy(logits, pids)
    return total, parts


def _accuracy(logits: Any, pids: Tensor) -> Tensor:
    accuracy: Tensor = host.metrics.accuracy(logits, pids)[0]
    return accuracy.reshape(())
