"""Keys that were set and have no effect on a run."""

from __future__ import annotations

from promptreid.config.schema import Flat
from promptreid.config.sections import all_sections


def unread(flat: Flat) -> set[str]:
    """The keys that neither the model nor the loss of a configuration reads, nor anything else.

    Args:
        flat: all leaves of a configuration.
    """
    in_use = [section for section in all_sections() if section.in_use(flat)]
    read = tuple(beginning for section in in_use for beginning in section.reads)
    return {
        key.name
        for section in all_sections()
        for key in section.keys
        if section not in in_use or (section.shared and not key.name.startswith(read))
    }


def without_effect(flat: Flat) -> list[str]:
    """Keys that are not at their default and that nothing reads: one piece of text for each reason.

    Args:
        flat: all leaves of a configuration.
    """
    nobodys = unread(flat)
    useless: list[str] = []
    lacking: dict[str, list[str]] = {}
    for section in all_sections():
        for key in section.keys:
            if flat[key.name] == key.default:
                continue
            if key.name in nobodys:
                useless.append(key.name)
            elif not key.has_effect(flat):
                lacking.setdefault(key.needs, []).append(key.name)
    found = [f"{', '.join(keys)} (need{'s' * (len(keys) == 1)} {needs})" for needs, keys in lacking.items()]
    if useless:
        reader = f"model.name {flat['model.name']} with loss.name {flat['loss.name']}"
        found.insert(0, f"{', '.join(useless)} (not read by {reader})")
    return found
