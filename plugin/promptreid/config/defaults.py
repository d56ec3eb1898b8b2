"""The configuration tree at its defaults: torchreid's keys verbatim, plus the ones promptreid and methods add."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from yacs.config import CfgNode

from promptreid.config.plugins import load_builtin
from promptreid.config.sections import all_keys


def default_config() -> CfgNode:
    """A new tree with every key at its default; it may be changed freely."""
    load_builtin()
    tree: dict[str, Any] = {}
    for name, key in all_keys().items():
        *path, last = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = deepcopy(key.default)
    return CfgNode(tree)
