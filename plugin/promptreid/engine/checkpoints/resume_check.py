"""Whether a checkpoint belongs to the run that wants to continue it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from promptreid.config.keys import leaves_of
from promptreid.config.renamed import up_to_date
from promptreid.config.sections import all_keys, model_nodes
from promptreid.models.records import is_record

# Keys that may differ on resuming: where things are, how fast they go, what is printed. The others change the numbers.
_FREE = {
    "data.root", "data.save_dir", "data.targets", "data.workers", "data.persistent_workers", "data.pack",
    "data.decoder",
    "model.load_weights", "model.resume", "model.pretrained", "market1501.use_500k_distractors",
    "cuhk03.use_metric_cuhk03", "train.max_epoch", "train.start_epoch", "train.print_freq", "train.checkpoint_steps",
    "train.patience", "train.compile", "train.deterministic", "train.checkpoint_blocks",
    "train.distributed_timeout", "plugins",
}  # fmt: skip
_FREE_NODES = ("data.synthetic.", "test.")
_FREE_ENDS = (".weights", ".allow_download")  # of a backbone, whose weights the checkpoint has or vouches for
_SELECTING = {
    "data.targets", "train.patience", "test.select", "test.select_metric", "test.select_target", "test.eval_freq",
    "test.start_eval", "test.protocols", "test.dist_metric", "test.normalize_feature", "test.rerank",
    "test.rerank_distances", "test.flip",
}  # fmt: skip
_INPUT = {"data.height", "data.width", "data.norm_mean", "data.norm_std"}
"""Keys of what a model is shown in tests."""
_TO_THE_END = ("cosine", "warmup_cosine")
"""Schedules that reach their floor at ``train.max_epoch``."""
_MOST = 8


def config_differences(written: str, current: str) -> tuple[list[str], list[str]]:
    """What differs between the configuration of a checkpoint and the current one, both as YAML.

    Keys that only one of them has are of another version of this package, and are passed over.

    Returns:
        differences that forbid to go on, and those that don't matter; each as ``key: old, now new``.
    """
    old, new = (_leaves(text) for text in (written, current))
    changed = [key for key in old if key in new and old[key] != new[key]]
    free = {key for key in changed if _is_free(key, old, new)}
    lines = {key: f"{key}: {old[key]!r}, now {new[key]!r}" for key in changed}
    return [lines[key] for key in changed if key not in free], [lines[key] for key in changed if key in free]


def _leaves(text: str) -> dict[str, Any]:
    """All keys of a configuration by their names of today."""
    leaves = leaves_of(text)
    return up_to_date(leaves, {"model.name": leaves.get("model.name", "")})[0]


def _is_free(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    if key in _SELECTING and {old.get("test.select", "last"), new.get("test.select", "last")} != {"last"}:
        return False
    if key == "train.max_epoch":
        return new.get("train.lr_scheduler") not in _TO_THE_END
    row = all_keys().get(key)
    return (row is not None and row.free) or key in _FREE or key.startswith(_FREE_NODES) or key.endswith(_FREE_ENDS)


def test_differences(written: str, current: str) -> list[str]:
    """What makes the model or its input another one than in training; arguments as of :func:`config_differences`."""
    old, new = (_leaves(text) for text in (written, current))
    changed = [key for key in old if key in new and old[key] != new[key]]
    return [f"{key}: {old[key]!r}, now {new[key]!r}" for key in changed if _shapes_descriptors(key)]


def _shapes_descriptors(key: str) -> bool:
    row = all_keys().get(key)
    if row is None or row.free or key.endswith(_FREE_ENDS):
        return False
    return key in _INPUT or key == "model.name" or key.partition(".")[0] in model_nodes()


def tensor_differences(own: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """One line for each tensor of a model that a state dict lacks, has in another shape, or has too many.

    State dicts of release 0.1 have no records, which are passed over.
    """
    lines = [f"{name} is missing" for name in own if name not in given and not is_record(name)]
    lines += [f"{name} is in no part of the model" for name in given if name not in own]
    for name, value in own.items():
        other = given.get(name)
        if isinstance(value, Tensor) and isinstance(other, Tensor) and value.shape != other.shape:
            lines.append(f"{name} has shape {tuple(other.shape)}, the model's {tuple(value.shape)}")
    return lines


def listed(differences: list[str]) -> str:
    """The first few of them, in one line."""
    more = len(differences) - _MOST
    return "; ".join(differences[:_MOST]) + (f"; and {more} more" if more > 0 else "")
