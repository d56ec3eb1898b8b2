"""Dotted keys of a configuration tree, and the nearest name to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from promptreid.yaml_texts import parse_yaml


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every leaf of ``tree`` by its dotted key, ``{"train.lr": 0.0003, ...}``, in the tree's order."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            leaves.update(flatten(value, f"{key}."))
        else:
            leaves[key] = value
    return leaves


def leaves_of(text: str) -> dict[str, Any]:
    """The same of a whole configuration as YAML, which may be empty.

    Raises:
        ValueError: not YAML, or not of keys with values.
    """
    try:
        tree = parse_yaml(text)
    except ValueError as error:
        raise ValueError(f"not the YAML of a configuration ({error}); give the training's own file") from None
    if tree is None:
        return {}
    if not isinstance(tree, Mapping):
        raise ValueError(f"not a configuration: {type(tree).__name__} in place of keys; give the training's own file")
    return flatten(tree)


def did_you_mean(name: str, known: Collection[str]) -> str:
    """``"; did you mean 'x'?"`` with the known name nearest to ``name``, or ``""`` when none is near.

    Case doesn't matter. A dotted key is also near when its last part is, so that a key in the wrong node is found.
    """
    near = _nearest(name, {other: other for other in known})
    near = near or _nearest(name.rpartition(".")[2], {other.rpartition(".")[2]: other for other in known})
    return f"; did you mean {near!r}?" if near else ""


def _nearest(name: str, known: Mapping[str, str]) -> str:
    lower = {key.lower(): value for key, value in known.items()}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.7)
    return lower[near[0]] if near else ""
