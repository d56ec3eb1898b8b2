"""Configuration keys: default, type, allowed values and meaning, one table row per key."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Flat = Mapping[str, Any]
"""The leaves of a configuration by their dotted keys."""


@dataclass(frozen=True)
class Range:
    """Range of finite numbers from ``low`` to ``high``; ``open_low`` and ``open_high`` exclude the ends."""

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return math.isfinite(value) and above and below

    def __str__(self) -> str:
        text = f"above {self.low}" if self.open_low else f"at least {self.low}"
        if math.isfinite(self.high):
            text += f" and {'below' if self.open_high else 'at most'} {self.high}"
        return text


COUNT = Range(1)
FROM_ZERO = Range(0)
POSITIVE = Range(0, open_low=True)
SHARE = Range(0, 1, open_high=True)
DECAY = Range(0, 1, open_low=True)


@dataclass(frozen=True)
class Key:
    """Configuration key: default, type, allowed values and meaning.

    Attributes:
        name: dotted, ``train.lr``; in a table of a method or a loss the part behind its node, ``rank``.
        default: None and ``""`` mean "not set": the preset, the backbone or the data set decides.
        meaning: one line for ``docs/config.md``.
        kind: type of the value, or of a list's entries; only needed where the default, None or ``[]``, hides it.
        choices: names that the value, or each entry of a list, may have; any when empty.
        range: the interval of the number, or of each entry of a list.
        needs: what the key has an effect with: ``train.amp`` (any value but off, zero or empty), or
            ``train.lr_scheduler=mip_cosine|warmup_cosine``. A key that is set without it is warned of.
        free: it may differ when a run is resumed, since it changes no numbers.
    """

    name: str
    default: Any
    meaning: str
    kind: type | None = None
    choices: tuple[str, ...] = ()
    range: Range | None = None
    needs: str = ""
    free: bool = False

    @property
    def value_type(self) -> type:
        """Type of the value; ``list`` for any list."""
        if isinstance(self.default, list):
            return list
        return self.kind or type(self.default)

    @property
    def entry_type(self) -> type:
        """Type of a list's entries."""
        return self.kind or (type(self.default[0]) if self.default else str)

    @property
    def nullable(self) -> bool:
        """Whether None may be its value."""
        return self.default is None

    def allowed(self) -> str:
        """The allowed values in a few words, for the documentation."""
        if self.choices:
            return ", ".join(f"`{name}`" if name else "`''`" for name in self.choices)
        if self.range is not None:
            number = self.entry_type if self.value_type is list else self.value_type
            return ("whole number" if number is int else "number") + f" {self.range}"
        names = {bool: "`True`, `False`", str: "text", list: "list", int: "whole number", float: "number"}
        return names[self.value_type]

    def has_effect(self, flat: Flat) -> bool:
        """Whether the keys that this key needs are set."""
        if not self.needs:
            return True
        other, _, values = self.needs.partition("=")
        return str(flat[other]) in values.split("|") if values else bool(flat[other])


def always(flat: Flat) -> bool:
    """A section that every configuration uses."""
    return True


def no_contradictions(flat: Flat) -> Iterator[str]:
    """A section whose keys cannot contradict each other."""
    return iter(())


@dataclass(frozen=True)
class Section:
    """The keys of a node, or of a part of one: from this table come defaults, checks and documentation.

    Attributes:
        title: heading in ``docs/config.md``.
        keys: by their full names.
        owner: who brought it, for messages.
        in_use: whether a configuration uses these keys.
        contradictions: one line for each pair of keys that contradict each other, checked where the section is in use.
        reads: beginnings of keys of shared sections that it reads, where it is in use.
        shared: its keys only have an effect where a section in use reads them.
        of_model: its keys make a model, so that a trained one is tested with the same values.
        renamed: keys of earlier releases, where the section is in use: their names of today, and their defaults then.
    """

    title: str
    keys: tuple[Key, ...]
    owner: str = "promptreid"
    in_use: Callable[[Flat], bool] = always
    contradictions: Callable[[Flat], Iterator[str]] = no_contradictions
    reads: tuple[str, ...] = ()
    shared: bool = False
    of_model: bool = False
    renamed: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
