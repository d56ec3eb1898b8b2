"""Of the arguments of torchreid's ``Engine.run`` those that concern training, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLAN = {
    "max_epoch": 0,
    "start_epoch": 0,
    "print_freq": 10,
    "fixbase_epoch": 0,
    "open_layers": None,
    "start_eval": 0,
    "eval_freq": -1,
    "test_only": False,
}
"""With torchreid's defaults."""


def plan_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """Take the plan of a training out of the arguments of a run, with the defaults of what is not among them."""
    return {name: arguments.pop(name, default) for name, default in _PLAN.items()}


def evaluation_is_due(plan: Mapping[str, Any], finished: int, last: int, selects: bool) -> bool:
    """Whether the weights after the finished epochs are tested before training goes on.

    Args:
        plan: of the training.
        finished: how many epochs are.
        last: how many there will be.
        selects: whether the run selects its weights by their scores.
    """
    if finished == last:
        return selects  # torchreid's final test follows anyway
    return plan["eval_freq"] > 0 and finished >= plan["start_eval"] and finished % plan["eval_freq"] == 0
