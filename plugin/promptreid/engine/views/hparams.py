"""The keys of a configuration that tell one run from another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promptreid.config.for_others import without_paths
from promptreid.config.keys import leaves_of
from promptreid.config.sections import all_keys
from promptreid.evaluation.results import Results

ALWAYS = ("model.name", "train.lr", "train.batch_size", "train.max_epoch", "train.seed", "data.sources")
"""Keys that are listed at their defaults, too."""
_NOT = ("train.loggers", "train.tensorboard.", "data.synthetic.", "data.workers", "train.print_freq")

Value = str | float | bool


def parameters_of(config: str) -> dict[str, Value]:
    """Keys that are not at their defaults, and :data:`ALWAYS`, without places; lists as text.

    Args:
        config: a whole configuration as YAML; may be empty.
    """
    leaves = leaves_of(without_paths(config))
    rows = all_keys()
    return {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in leaves.items()
        if not key.startswith(_NOT) and (key in ALWAYS or (key in rows and value != rows[key].default))
    }


def final_metrics(results: Mapping[str, Sequence[Results]]) -> dict[str, float]:
    """``<data set>/rank1``, ``mAP`` and ``mINP`` of each data set's headline protocol."""
    return {
        f"{name}/{metric}": value
        for name, own in results.items()
        if own
        for metric, value in (("rank1", own[0].rank(1)), ("mAP", own[0].mAP), ("mINP", own[0].mINP))
    }
