"""A configuration for others to read: nothing of the machine that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import PureWindowsPath
from typing import Any

import yaml  # type: ignore[import-untyped]

from promptreid.config.plugins import is_file
from promptreid.config.sections import all_keys
from promptreid.yaml_texts import parse_yaml

_PLACES = ("data.root", "data.save_dir", "data.table", "data.pack", "model.load_weights", "model.resume")
_WEIGHTS = ".weights"


@lru_cache(maxsize=8)
def without_paths(text: str) -> str:
    """The same YAML, without folders.

    Places of one training (``data.root``, ``data.save_dir``, ``data.table``, ``data.pack``, ``model.load_weights``,
    ``model.resume``) are at their defaults. Of files of weights, of plugins and of anything else with an absolute path
    the name stays. All other keys and values are kept.

    Args:
        text: a whole configuration; may be empty.

    Raises:
        ValueError: not YAML.
    """
    tree = parse_yaml(text)
    if not isinstance(tree, Mapping):
        return text
    return str(yaml.safe_dump(_node(tree), sort_keys=False, allow_unicode=True))


def _node(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    return {
        name: _node(value, f"{prefix}{name}.") if isinstance(value, Mapping) else _value(f"{prefix}{name}", value)
        for name, value in tree.items()
    }


def _value(key: str, value: Any) -> Any:
    if key in _PLACES:
        return all_keys()[key].default
    if isinstance(value, list):
        return [_value(key, entry) for entry in value]
    if not isinstance(value, str):
        return value
    path = PureWindowsPath(value)  # takes both kinds of slashes
    names_file = key.endswith(_WEIGHTS) or (key == "plugins" and is_file(value))
    return path.name if names_file or value.startswith("~") or path.root else value
