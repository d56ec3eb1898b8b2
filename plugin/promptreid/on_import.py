"""``import promptreid`` adds everything to torchreid, yet imports neither torch nor torchreid. This module is how.

A command line should answer ``--help`` in a tenth of a second, and torch and torchreid take seconds to import. So
``import promptreid`` only leaves a finder on ``sys.meta_path``, and the work is done when somebody needs it:

* once torchreid has been imported, by whomever, everything is registered there;
* before torchvision's own code runs, operators that a CPU build of torch lacks are declared (:mod:`promptreid.compat`).

Modules of promptreid import torchreid too, and registering imports most of promptreid. Doing that in the middle of such
an import would find half of a module. So the finder also watches promptreid's own modules, and registers at the end of
the outermost import.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

from promptreid import compat

if TYPE_CHECKING:
    from importlib.abc import Loader
else:
    Loader = object  # importing importlib.abc would take as long as all the rest

HOST = "torchreid"
_OURS = f"{__package__}."


class _Imports(threading.local):
    """Of this thread: how many imports of torchreid and of promptreid's modules, one inside the other, go on."""

    depth = 0


_imports = _Imports()
_registered = False


def install() -> None:
    """Watch imports from now on; where torchreid was imported before, register everything at once."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())
    if HOST in sys.modules:
        with _import_of_ours():
            pass


@contextmanager
def _import_of_ours() -> Iterator[None]:
    """Around the import of a module; registers at the end of the outermost one."""
    _imports.depth += 1
    try:
        yield
        if _imports.depth == 1:
            _register()
    finally:
        _imports.depth -= 1


def _register() -> None:
    """Register everything, once torchreid is there."""
    global _registered
    if _registered or HOST not in sys.modules:
        return
    from promptreid.registration import register_all

    register_all()
    _registered = True


def _run_ours(run: Callable[[], None]) -> None:
    with _import_of_ours():
        run()


def _run_host(run: Callable[[], None]) -> None:
    with _import_of_ours(), warnings.catch_warnings():
        # torchreid warns that its Cython evaluator is missing; ours replaces it.
        warnings.filterwarnings("ignore", message=".*Cython evaluation.*")
        warnings.filterwarnings("ignore", category=SyntaxWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        run()


def _run_torchvision(run: Callable[[], None]) -> None:
    compat.declare_before_torchvision_runs()
    run()


class _Finder:
    """Finds what the other finders find, and has a say when it is executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        around = _around(fullname)
        if around is None:
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Watched(spec.loader, around)
        return spec


def _around(fullname: str) -> Callable[[Callable[[], None]], None] | None:
    if fullname == HOST:
        return _run_host
    if fullname == "torchvision":
        return _run_torchvision
    return _run_ours if fullname.startswith(_OURS) and not _registered else None


class _Watched(Loader):
    """A module's loader, with something around the execution of the module.

    It takes itself out again before that, so that the module has the loader that it would have had.
    """

    def __init__(self, loader: Loader, around: Callable[[Callable[[], None]], None]) -> None:
        self._loader = loader
        self._around = around

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._around(lambda: self._loader.exec_module(module))

    def __getattr__(self, name: str) -> object:
        """Whatever else a loader can do, for those who ask a spec without importing it (``pkgutil``, ``inspect``)."""
        return getattr(self._loader, name)
