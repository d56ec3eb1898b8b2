"""Reading a configuration from YAML files, the command line and a program; writing it back."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from yacs.config import CfgNode

from promptreid.config.defaults import default_config
from promptreid.config.keys import flatten
from promptreid.config.merge import coerce, merged
from promptreid.config.plugins import load_plugins, resolved
from promptreid.config.renamed import up_to_date
from promptreid.config.unused import unread
from promptreid.yaml_texts import LONGEST, parse_yaml

logger = logging.getLogger(__name__)

BASE_KEY = "_BASE_"
SUFFIXES = (".yaml", ".yml")


def load_config(
    path: str | Path | None = None,
    opts: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    overlays: Sequence[str | Path] = (),
) -> CfgNode:
    """The defaults, then the file, then ``overlays``, ``overrides`` and ``opts``; later ones win.

    A file may name another one to start from, ``_BASE_: mip_base.yaml``, relative to itself. Every file in such a
    chain has to lie under the nearest folder called ``configs`` above the first one, or else in the first one's own
    folder: a configuration from elsewhere can't pull in other files of this machine.

    An overlay is a file for many configurations, such as a profile of a machine. It may have keys of several methods:
    those that the model and the loss do not read are left out of it.

    Plugins are imported first: what the key ``plugins`` names, which runs as a program, and what installed packages
    declare.

    Args:
        path: a ``.yaml`` or ``.yml`` file. Nothing else is taken: yacs would run a ``.py`` file.
        opts: ``KEY VALUE KEY VALUE ...``, as a command line has them.
        overrides: values by dotted key, such as ``{"data.root": "/data"}``.
        overlays: ``.yaml`` or ``.yml`` files, each with bases of its own if it has any.

    Returns:
        A frozen tree. Types are checked, values aren't: see :func:`~promptreid.config.validate.validate`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown key, a wrong type, a base outside the folder or in a circle, broken YAML, or a plugin
            that cannot be imported.
    """
    below = [] if path is None else _read_chain(Path(path))
    laid = [part for overlay in overlays for part in _read_chain(Path(overlay))]
    sources = [(str(file), leaves) for file, leaves in (*below, *laid)]
    sources += [("overrides", dict(overrides or {})), ("command line", _pairs(opts))]
    _bring_plugins(sources)
    cfg, renamed = _combined(sources)
    nobodys = unread(flatten(cfg)) if laid else set()
    if any(nobodys & leaves.keys() for _, leaves in laid):
        for _, leaves in laid:
            for key in nobodys & leaves.keys():
                del leaves[key]
        cfg, renamed = _combined(sources)
    if renamed:
        pairs = ", ".join(f"{old} is now {new}" if new else f"{old} has no effect here" for old, new in renamed.items())
        logger.warning("keys of an earlier release: %s", pairs)
    cfg.freeze()
    return cfg


def _combined(sources: Sequence[tuple[str, dict[str, Any]]]) -> tuple[CfgNode, dict[str, str]]:
    """All sources, the later ones over the earlier ones, and the keys of an earlier release by their names."""
    cfg = default_config()
    settled = {"model.name": _last(sources, "model.name", cfg.model.name)}
    renamed: dict[str, str] = {}
    for source, leaves in sources:
        current, names = up_to_date(leaves, settled)
        renamed.update(names)
        cfg = _merge(cfg, current, source)
    return cfg, renamed


def dump_config(cfg: CfgNode) -> str:
    """The whole tree as YAML; :func:`load_config` reads it back to an equal tree."""
    return str(cfg.dump(sort_keys=False, allow_unicode=True))


def _bring_plugins(sources: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Import the plugins, so that their keys are known; files are named by their absolute path from then on."""
    for source, leaves in sources:
        if "plugins" in leaves:
            names = _as_list(source, leaves["plugins"])
            leaves["plugins"] = resolved(names, Path(source).parent if Path(source).suffix in SUFFIXES else Path())
    load_plugins(_last(sources, "plugins", []))


def _as_list(source: str, value: Any) -> list[str]:
    try:
        return list(coerce("plugins", value))
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def _last(sources: Sequence[tuple[str, dict[str, Any]]], key: str, default: Any) -> Any:
    return next((leaves[key] for _, leaves in reversed(sources) if key in leaves), default)


def _merge(cfg: CfgNode, leaves: Mapping[str, Any], source: str) -> CfgNode:
    try:
        return merged(cfg, leaves)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def _pairs(opts: Sequence[str]) -> dict[str, str]:
    if len(opts) % 2:
        raise ValueError(f"options come as KEY VALUE pairs, but {opts[-1]!r} stands alone")
    return dict(zip(opts[::2], opts[1::2], strict=True))


def _read_chain(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The files from the remotest base to ``path`` itself, each with its leaves."""
    folder = _folder_of(path)
    chain: list[tuple[Path, dict[str, Any]]] = []
    current: Path | None = path.resolve()
    while current is not None:
        if current in [file for file, _ in chain]:
            circle = " -> ".join(file.name for file, _ in chain)
            raise ValueError(f"{path}: {BASE_KEY} runs in a circle: {circle} -> {current.name}")
        tree = read_yaml(current)
        base = tree.pop(BASE_KEY, None)
        chain.append((current, flatten(tree)))
        current = None if base is None else _base_path(current, base, folder)
    return chain[::-1]


def _folder_of(path: Path) -> Path:
    parents = path.resolve().parents
    return next((parent for parent in parents if parent.name == "configs"), parents[0])


def _base_path(file: Path, base: Any, folder: Path) -> Path:
    if not isinstance(base, str) or Path(base).is_absolute() or "://" in base:
        raise ValueError(f"{file}: {BASE_KEY} {base!r} must be the path of one file, relative to this one")
    path = (file.parent / base).resolve()
    if not path.is_relative_to(folder):
        raise ValueError(f"{file}: {BASE_KEY} {base!r} lies outside {folder}; move it in there")
    return path


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file of keys with values; no key may stand twice, or have a dot.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file, or broken YAML.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: a configuration is a .yaml or .yml file")
    if not path.is_file():
        raise FileNotFoundError(f"no configuration file {path}")
    if path.stat().st_size > 4 * LONGEST:  # bytes of a character, at most
        raise ValueError(f"{path}: {path.stat().st_size} bytes, too many for a configuration; name another file")
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"), _Loader)
    except ValueError as error:
        raise ValueError(f"{path}: not valid YAML: {error}; mend or remove it") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ValueError(f"{path}: expected keys with values, got {type(tree).__name__}")
    return tree


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which besides silently keeps the last of two equal keys: here they are an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = key.value
            if not isinstance(name, str) or "." in name:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name!r} is no name; nest the parts of a dotted key", node.start_mark
                )
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{name!r} stands twice", node.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)
