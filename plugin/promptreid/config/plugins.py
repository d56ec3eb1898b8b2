"""Methods, data sets, losses and protocols from elsewhere, imported before a configuration is read.

promptreid's own methods come through the same door. In order: these, then what installed packages declare under the
entry point group ``promptreid.plugins``, then what the key ``plugins`` of the configuration names. Importing a plugin
registers what it brings (:func:`promptreid.register_method` and its siblings).
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

logger = logging.getLogger(__name__)

GROUP = "promptreid.plugins"
BUILT_IN = "promptreid.methods"
_PREFIX = "promptreid_plugin_"
_tried: set[str] = set()
_left_out: list[str] = []


def load_builtin() -> None:
    """Register promptreid's own methods. (By name: the configuration depends on no method.)"""
    importlib.import_module(BUILT_IN)


def load_plugins(named: Sequence[str] = ()) -> None:
    """Register promptreid's own methods, those of installed packages, and the plugins that are named.

    An installed package that fails is named in a warning, and the others still work: the user may not need it.

    Args:
        named: importable modules, ``my_package.reid``, or files, ``my_reid.py``, as :func:`resolved` gives them.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a named plugin that cannot be imported, or two files of one name.
    """
    load_builtin()
    for point in entry_points(group=GROUP):
        if point.value in _tried:
            continue
        _tried.add(point.value)
        try:
            point.load()
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            text = f"plugin {point.name!r} ({point.value}) could not be loaded and is left out: {reason}"
            _left_out.append(text)
            logger.warning("%s", text)
    for name in named:
        _load(name)


def are_installed() -> bool:
    """Whether an installed package declares plugins."""
    return bool(entry_points(group=GROUP))


def left_out() -> list[str]:
    """What was warned of: the plugins of installed packages that could not be loaded in this process, with reasons."""
    return list(_left_out)


def resolved(names: Sequence[str], folder: Path) -> list[str]:
    """Plugins with files as absolute paths: a relative one is looked for beside the configuration, then here.

    Args:
        names: values of ``plugins``.
        folder: of the file that names them.
    """
    return [_absolute(name, folder) if is_file(name) else name for name in names]


def is_file(name: str) -> bool:
    """Whether a plugin is a file rather than a module."""
    return name.endswith(".py") or "/" in name


def _absolute(name: str, folder: Path) -> str:
    path = Path(name).expanduser()
    beside = folder / path
    return str((beside if beside.exists() or not path.exists() else path).resolve())


def _load(name: str) -> None:
    if is_file(name) and not Path(name).is_file():
        raise FileNotFoundError(
            f"plugins: no file {name}; a relative path is looked for beside the configuration that names it, then in "
            "the working folder"
        )
    try:
        _load_file(Path(name)) if is_file(name) else importlib.import_module(name)
    except (Exception, SystemExit) as error:
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"plugins: {name} could not be loaded: {reason}") from error


def _load_file(path: Path) -> ModuleType:
    name = _PREFIX + path.stem
    present = sys.modules.get(name)
    if present is not None:
        if Path(str(present.__file__)) != path.resolve():
            raise ValueError(f"two plugins are called {path.stem}: {present.__file__} and {path}; rename one")
        return present
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # data sets and losses of the file can then be pickled
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
