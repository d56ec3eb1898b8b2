"""promptreid: multi-modal person and vehicle re-identification as a plugin for torchreid.

Importing it adds the data sets, models and losses to torchreid's registries; nothing of torchreid is replaced. Neither
torch nor torchreid is imported before something needs them: see :mod:`promptreid.on_import`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from promptreid import moved, on_import

if TYPE_CHECKING:
    from promptreid import compat, host
    from promptreid.config.schema import Key, Range
    from promptreid.data.batch import ModalBatch, PathBundle
    from promptreid.data.dataset import ModalDataset
    from promptreid.datasets.registry import DATASETS
    from promptreid.engine.loggers.base import RunLogger, register_logger
    from promptreid.evaluation.protocols import register_protocol
    from promptreid.losses.registry import LOSSES
    from promptreid.methods.base import METHODS, MODELS, DataFacts, Method, register_method
    from promptreid.models.plain_images import plain_images_are
    from promptreid.registration import register_all, register_dataset, register_loss
    from promptreid.retrieval.compression.compressor import Compressor
    from promptreid.retrieval.embedder import Embedder
    from promptreid.retrieval.embeddings import Embeddings
    from promptreid.retrieval.gallery.index import GalleryIndex
    from promptreid.retrieval.loading import load
    from promptreid.retrieval.objects import ReIDObject

__version__: str
__all__ = [
    "DATASETS",
    "LOSSES",
    "METHODS",
    "MODELS",
    "Compressor",
    "DataFacts",
    "Embedder",
    "Embeddings",
    "GalleryIndex",
    "Key",
    "Method",
    "ModalBatch",
    "ModalDataset",
    "PathBundle",
    "Range",
    "ReIDObject",
    "RunLogger",
    "compat",
    "host",
    "load",
    "plain_images_are",
    "register_all",
    "register_dataset",
    "register_logger",
    "register_loss",
    "register_method",
    "register_protocol",
]

_HOMES = {
    "DATASETS": "promptreid.datasets.registry",
    "LOSSES": "promptreid.losses.registry",
    "METHODS": "promptreid.methods.base",
    "MODELS": "promptreid.methods.base",
    "Compressor": "promptreid.retrieval.compression.compressor",
    "DataFacts": "promptreid.methods.base",
    "Key": "promptreid.config.schema",
    "Method": "promptreid.methods.base",
    "ModalBatch": "promptreid.data.batch",
    "ModalDataset": "promptreid.data.dataset",
    "PathBundle": "promptreid.data.batch",
    "Range": "promptreid.config.schema",
    "plain_images_are": "promptreid.models.plain_images",
    "register_all": "promptreid.registration",
    "register_dataset": "promptreid.registration",
    "RunLogger": "promptreid.engine.loggers.base",
    "register_logger": "promptreid.engine.loggers.base",
    "register_loss": "promptreid.registration",
    "register_method": "promptreid.methods.base",
    "register_protocol": "promptreid.evaluation.protocols",
    "load": "promptreid.retrieval.loading",
    "Embedder": "promptreid.retrieval.embedder",
    "Embeddings": "promptreid.retrieval.embeddings",
    "GalleryIndex": "promptreid.retrieval.gallery.index",
    "ReIDObject": "promptreid.retrieval.objects",
}
"""The public names, and the modules that define them: imported when a name is first asked for."""


def __getattr__(name: str) -> Any:
    """A public name, or one of the package's modules, at its first use."""
    if name in _HOMES:
        globals()[name] = getattr(import_module(_HOMES[name]), name)
        return globals()[name]
    if name == "__version__":
        globals()[name] = import_module("promptreid.versions").version_of(__name__)
        return globals()[name]
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
moved.install()
