"""Modules that documents of release 0.1 named, under their names of then: for one release, with a warning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "promptreid.datasets.synthetic": "promptreid.synthetic",
    "promptreid.models.count": "promptreid.models.parameter_count",
    "promptreid.models.release_model": "promptreid.methods.mip.released_model",
}


def install() -> None:
    """Let the names of then be imported from now on."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


class _Finder(MetaPathFinder):
    """Last in the line: it is asked for what nothing else has found."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, _Moved(MOVED[fullname])) if fullname in MOVED else None


class _Moved(Loader):
    """Fills a module with what is in the one that has taken its place."""

    def __init__(self, home: str) -> None:
        self.home = home

    def exec_module(self, module: ModuleType) -> None:
        warnings.warn(
            f"{module.__name__} is now {self.home}; the old name goes with the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        there = vars(import_module(self.home))
        vars(module).update({name: value for name, value in there.items() if not name.startswith("__")})
