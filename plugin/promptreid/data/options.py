"""Constructor arguments of data sets that a configuration sets, which torchreid has no way to pass on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from promptreid import host


def bound_options(
    names: Iterable[str], options: Mapping[str, Any], defaults: Mapping[str, Any]
) -> AbstractContextManager[None]:
    """For the duration of the block, the data sets of ours among ``names`` are built with those options they have.

    Args:
        names: as in ``data.sources`` and ``data.targets``.
        options: value by name; a class of data sets lists the names it takes in its ``options``.
        defaults: the values at which an option that no data set takes is no mistake.

    Raises:
        ValueError: such an option at another value.
    """
    ours = {name: host.dataset_factory(name) for name in names if host.is_ours("dataset", name)}
    taken = {name: {key: options[key] for key in options.keys() & _options_of(ours[name])} for name in ours}
    for key, value in options.items():
        if value != defaults[key] and not any(key in given for given in taken.values()):
            raise ValueError(
                f"data.{key} {value}: none of data.sources and data.targets takes this setting; leave it "
                + (f"at {defaults[key]}" if defaults[key] else "empty, or name the data set that does")
            )
    return host.bound_datasets({name: partial(ours[name], **given) for name, given in taken.items() if given})


def _options_of(factory: Any) -> frozenset[str]:
    """What it takes, and what a data set takes that it is built around."""
    options: frozenset[str] = frozenset()
    while isinstance(factory, partial):
        if "whole" in factory.keywords:
            options |= _options_of(factory.keywords["whole"])
        factory = factory.func
    return options | getattr(factory, "options", frozenset())
