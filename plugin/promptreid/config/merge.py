"""Setting keys of a tree, with the checks and conversions that yacs leaves out.

yacs refuses ``1`` for a float, takes ``None`` for anything, turns a name like ``001`` into a number, and stops half-way
through a merge when a value is wrong. Here a whole number is a float where one is asked for, text stays text, and the
tree that was given is never touched.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Mapping
from typing import Any

from yacs.config import CfgNode

from promptreid.config.keys import did_you_mean
from promptreid.config.schema import Key
from promptreid.config.sections import all_keys
from promptreid.yaml_texts import parse_yaml

_BEYOND_FLOATS = 10**308


def merged(cfg: CfgNode, leaves: Mapping[str, Any]) -> CfgNode:
    """A copy of ``cfg`` with these keys set; ``cfg`` stays as it is.

    Args:
        cfg: a tree from :func:`~promptreid.config.defaults.default_config`.
        leaves: values by dotted key. A value may also be the text of it, as a command line has it.

    Raises:
        ValueError: a key that doesn't exist (the nearest one is named), or a value of the wrong type.
    """
    result = cfg.clone()
    result.defrost()
    for key, value in leaves.items():
        _check_key(key)
        node = result
        *path, last = key.split(".")
        for name in path:
            node = node[name]
        node[last] = coerce(key, value)
    return result


def coerce(key: str, value: Any) -> Any:
    """``value`` as the type that ``key`` has.

    A whole number becomes a float where one is expected, a tuple a list; text such as ``1e-4``, ``true`` or
    ``[60, 80]`` is read where the key isn't a string.

    Raises:
        ValueError: the value can't be that.
    """
    row = all_keys()[key]
    if row.value_type is list:
        return _coerce_list(row, value)
    if row.nullable and (value is None or value == "None"):
        return None
    return _coerce_scalar(key, value, row.value_type, row.value_type.__name__ + (" or None" if row.nullable else ""))


def _check_key(key: str) -> None:
    known = all_keys()
    if key in known:
        return
    inside = [other for other in known if other.startswith(f"{key}.")]
    if inside:
        raise ValueError(f"{key} holds other keys and can't have a value itself: set {inside[0]!r} or its neighbours")
    raise ValueError(f"unknown key {key!r}{did_you_mean(key, known)}")


def _coerce_list(row: Key, value: Any) -> list[Any]:
    key, kind = row.name, row.entry_type
    expected = f"a list of {kind.__name__} values, such as {row.default or ([1, 2] if kind is int else ['name'])}"
    items = _read(value, list) if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        raise _wrong_type(key, value, expected)
    # A text in a list is as it was written: its quotes are its own.
    return [
        item if kind is str and isinstance(item, str) else _coerce_scalar(key, item, kind, expected) for item in items
    ]


def _coerce_scalar(key: str, value: Any, kind: type, expected: str) -> Any:
    read = _read(value, kind) if isinstance(value, str) else value
    if kind is float and type(read) is int and abs(read) < _BEYOND_FLOATS:
        read = float(read)
    if type(read) is not kind:  # not isinstance: True is no number
        raise _wrong_type(key, value, expected)
    return read


def _read(text: str, kind: type) -> Any:
    """The Python literal in ``text``, or ``text`` itself where there is none or a string is wanted.

    A list may also be written as in YAML, ``[random_flip]``.
    """
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        literal = literal_eval(text.strip())
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):  # all that it may raise
        if kind is not list or not text.strip().startswith("["):
            return text
        try:
            return parse_yaml(text)
        except ValueError:
            return text
    return text if kind is str and not isinstance(literal, str) else literal


def _wrong_type(key: str, value: Any, expected: str) -> ValueError:
    return ValueError(f"{key}: expected {expected}, got {value!r} ({type(value).__name__})")
