"""Differences between the configurations of the runs, and from the defaults."""

from __future__ import annotations

from typing import Any

from promptreid.config.defaults import default_config
from promptreid.config.keys import flatten
from promptreid.visual.report.content import Block, Cell, Item, Section, Table, Text
from promptreid.visual.report.open_runs import OpenRuns
from promptreid.visual.report.run_files import RunFiles

_ABSENT = object()
_ABOUT = "From the runs' config.yaml; every key is explained in docs/config.md."


def configuration_section(runs: OpenRuns, title: str) -> Section:
    """The keys that differ between the runs, and those that are not at their defaults."""
    blocks = []
    if len(runs.files) > 1:
        blocks.append(Block([_between(runs.files)], "Between the runs"))
    blocks.append(Block([_from_defaults(runs.files)], "From the defaults", folded=len(runs.files) > 1))
    return Section("configuration", title, _ABOUT, blocks)


def differing_keys(configs: list[dict[str, Any]]) -> list[str]:
    """Keys that not all configurations have at the same value, in their order.

    Args:
        configs: values by dotted key.
    """
    keys = dict.fromkeys(key for config in configs for key in config)
    return [key for key in keys if any(_of(config, key) != _of(configs[0], key) for config in configs)]


def _between(files: list[RunFiles]) -> Item:
    configs = [run.config for run in files]
    keys = differing_keys(configs)
    if not keys:
        return Text("The configurations are the same.")
    rows = [[Cell(key), *(Cell(_shown(_of(config, key))) for config in configs)] for key in keys]
    return Table(f"{len(keys)} keys differ", ("Key", *(run.name for run in files)), rows)


def _from_defaults(files: list[RunFiles]) -> Item:
    defaults = flatten(default_config())
    keys = differing_keys([defaults, *(_over(defaults, run.config) for run in files)])
    rows = [
        [Cell(key), Cell(_shown(_of(defaults, key))), *(Cell(_shown(_of(run.config, key))) for run in files)]
        for key in keys
    ]
    return Table("Keys that are not at their defaults", ("Key", "Default", *(run.name for run in files)), rows)


def _over(defaults: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """A key that a configuration lacks is at its default."""
    return {**defaults, **config}


def _of(config: dict[str, Any], key: str) -> Any:
    value = config.get(key, _ABSENT)
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "–"
    return "not set" if value is None else str(value) or "''"
