"""promptreid: multi-modal person and vehicle re-identification as a plugin for torchreid.

Importing it adds the data sets, models and losses to torchreid's registries; nothing of torchreid is replaced.
"""

from __future__ import annotations

from promptreid import compat, host  # compat first: it has to come before torch
from promptreid.data.batch import ModalBatch, PathBundle
from promptreid.datasets.registry import DATASETS
from promptreid.engine.host_models import HOST_MODELS
from promptreid.losses.registry import LOSSES
from promptreid.models.registry import MODELS

__version__ = "0.1.0"
__all__ = ["DATASETS", "LOSSES", "MODELS", "ModalBatch", "PathBundle", "compat", "host", "register_all"]


def register_all() -> None:
    """Add everything to torchreid; called on import, and harmless when called again."""
    for name, factory in DATASETS.items():
        host.register_dataset(name, factory)
    for name, builder in {**MODELS, **HOST_MODELS}.items():
        host.register_model(name, builder)
    for loss in LOSSES.values():
        host.register_loss(loss)
    host.allow_host_checkpoints()


register_all()
