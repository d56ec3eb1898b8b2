"""Every section of the configuration: torchreid's, promptreid's own, and those that methods and losses bring."""

from __future__ import annotations

from promptreid.config.host_keys import HOST
from promptreid.config.own_keys import OWN
from promptreid.config.schema import Key, Section

_sections: dict[str, Section] = {section.title: section for section in (*HOST, *OWN)}
_choices: dict[str, tuple[str, ...]] = {}
_keys: dict[str, Key] = {}


def register_section(section: Section) -> None:
    """Add keys to the configuration. A second, equal call does nothing.

    Raises:
        ValueError: a key, or the title, is there already.
    """
    present = _sections.get(section.title)
    if present == section:
        return
    taken = sorted({key.name for key in section.keys} & all_keys().keys())
    if present is not None or taken:
        other = present.owner if present is not None else owner_of(taken[0])
        raise ValueError(
            f"{section.owner}: the configuration has {taken[0] if taken else section.title!r} from {other} already; "
            "choose another name"
        )
    _sections[section.title] = section
    _keys.clear()


def add_choice(key: str, name: str) -> None:
    """Let ``key`` also have the value ``name``."""
    if name not in choices_of(all_keys()[key]):
        _choices[key] = (*_choices.get(key, ()), name)


def choices_of(key: Key) -> tuple[str, ...]:
    """The names that a key may have, added ones too; any when empty."""
    return key.choices + _choices.get(key.name, ())


def all_sections() -> tuple[Section, ...]:
    """Sections in the order in which they came: torchreid's, our own, those of methods and losses."""
    return tuple(_sections.values())


def all_keys() -> dict[str, Key]:
    """Every key by its dotted name."""
    if not _keys:
        _keys.update({key.name: key for section in _sections.values() for key in section.keys})
    return _keys


def owner_of(name: str) -> str:
    """Who brought a key."""
    return next(section.owner for section in _sections.values() if any(key.name == name for key in section.keys))
