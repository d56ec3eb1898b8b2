"""Keys of earlier releases, under their names of today.

Which name a key has today can depend on the model: ``mip.stride`` once was the stride of MIP and of its baselines, and
a whole ``config.yaml`` of that time holds ``mip.stride`` beside ``dmpt.stride``. The section in use decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promptreid.config.sections import all_keys, all_sections


def up_to_date(leaves: Mapping[str, Any], settled: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Leaves with the names of today, and which ones were renamed.

    A value that was the default then becomes the default of now, which may be "not set". A key that is there under both
    names keeps the value under the one of today.

    Args:
        leaves: values by dotted key, from one source.
        settled: what decides which sections are in use, with ``model.name``.

    Returns:
        the leaves, and by old name the new one of those that were not at their default; ``""`` for a key that only
        concerned a method that is not in use.
    """
    names = _names(settled)
    if not any(key in names and key not in all_keys() for key in leaves):
        names = {}  # keys that have both a new home and a meaning of their own moved in sources of that time alone
    current: dict[str, Any] = {}
    renamed: dict[str, str] = {}
    for key, value in leaves.items():
        new, default = names.get(key, (key, None))
        if new == key:
            current[key] = value
            continue
        if value != default:
            renamed[key] = new
        if new and new not in leaves:
            current[new] = all_keys()[new].default if value == default else value
    return current, renamed


def _names(settled: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Old key to the one of today, ``""`` where the section that renamed it is not in use, and the default of then."""
    names: dict[str, tuple[str, Any]] = {}
    for section in all_sections():
        if section.renamed and not section.in_use(settled):
            gone = {old: default for old, (_, default) in section.renamed.items() if old not in all_keys()}
            names.update({old: ("", default) for old, default in gone.items()})
    for section in all_sections():
        if section.renamed and section.in_use(settled):
            names.update(section.renamed)
    return names
