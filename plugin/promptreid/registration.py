"""Registration: promptreid's additions to torchreid's registries, and others' additions to promptreid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

import promptreid.methods  # noqa: F401  (importing it registers promptreid's own methods)
from promptreid import host
from promptreid.config.schema import Key, Section
from promptreid.config.sections import add_choice, register_section
from promptreid.data.dataset import DatasetFactory
from promptreid.datasets.registry import DATASETS
from promptreid.losses.registry import LOSSES, TRAINABLE


def register_all() -> None:
    """Register promptreid's data sets, models and losses in torchreid; import calls it, and you may call it again."""
    for name, factory in DATASETS.items():
        host.register_dataset(name, factory)
    for loss in LOSSES.values():
        host.register_loss(loss)
    host.allow_host_checkpoints()


def register_dataset(name: str, factory: DatasetFactory) -> None:
    """Register a data set, so that ``data.sources``, ``data.targets`` and every tool take its name.

    Args:
        name: lower case.
        factory: a class, function or ``functools.partial`` that is called with ``root`` and torchreid's other keyword
            arguments and gives a :class:`~promptreid.data.dataset.ModalDataset` or a data set of torchreid's.

    Raises:
        ValueError: another data set has this name.
    """
    host.register_dataset(name, factory)
    DATASETS[name] = factory


def register_loss(name: str, loss: Callable[..., nn.Module], keys: Sequence[Key] = ()) -> None:
    """Register a loss: ``loss.name: <name>`` trains with it, and ``loss.<name>`` has its keys.

    Args:
        name: lower case.
        loss: called with the keys, gives a module whose ``forward(inputs, targets)`` takes a model's ``PromptOutput``
            (of a model of torchreid ``logits`` and ``features`` alone, as lists) and the identities (B,), and returns
            the loss, or the total and a dict of its parts, which are logged under their names.
        keys: its keys, named without the node.

    Raises:
        ValueError: another loss, or a node of the configuration, has this name.
    """
    present = TRAINABLE.get(name)
    if present is loss:
        return
    if present is not None or name in ("softmax", "triplet", "prompt"):
        raise ValueError(f"loss name {name!r} is taken by {present or 'torchreid or promptreid'}; choose another")
    if not name.isidentifier() or name != name.lower():
        raise ValueError(f"loss name {name!r}: use lower-case letters, digits and underscores")
    own = tuple(replace(key, name=f"loss.{name}.{key.name}") for key in keys)
    owner = f"{getattr(loss, '__module__', '')}.{getattr(loss, '__qualname__', name)}"
    register_section(Section(f"Loss: {name}", own, owner, in_use=_with(name)))
    add_choice("loss.name", name)
    TRAINABLE[name] = loss


def _with(loss: str) -> Callable[[Any], bool]:
    return lambda flat: bool(flat.get("loss.name") == loss)
