"""promptreid: multi-modal person and vehicle re-identification as a plugin for torchreid.

Importing it adds the data sets, models and losses to torchreid's registries; nothing of torchreid is replaced. Neither
torch nor torchreid is imported before something needs them: see :mod:`promptreid.on_import`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from promptreid import on_import

if TYPE_CHECKING:
    from promptreid import compat, host
    from promptreid.data.batch import ModalBatch, PathBundle
    from promptreid.datasets.registry import DATASETS
    from promptreid.losses.registry import LOSSES
    from promptreid.models.registry import MODELS
    from promptreid.registration import register_all

__version__ = "0.1.0"
__all__ = ["DATASETS", "LOSSES", "MODELS", "ModalBatch", "PathBundle", "compat", "host", "register_all"]

_HOMES = {
    "DATASETS": "promptreid.datasets.registry",
    "LOSSES": "promptreid.losses.registry",
    "MODELS": "promptreid.models.registry",
    "ModalBatch": "promptreid.data.batch",
    "PathBundle": "promptreid.data.batch",
    "register_all": "promptreid.registration",
}
"""The public names, and the modules that define them: imported when a name is first asked for."""


def __getattr__(name: str) -> Any:
    """A public name, or one of the package's modules, at its first use."""
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    missing = AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name.startswith("_"):
        raise missing
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise missing from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


on_import.install()
