"""Everything that promptreid adds to torchreid's registries."""

from __future__ import annotations

from promptreid import host
from promptreid.datasets.registry import DATASETS
from promptreid.losses.registry import LOSSES
from promptreid.methods.baselines.torchreid_backbones import HOST_MODELS
from promptreid.models.registry import MODELS


def register_all() -> None:
    """Add everything to torchreid; called on import, and harmless when called again."""
    for name, factory in DATASETS.items():
        host.register_dataset(name, factory)
    for name, builder in {**MODELS, **HOST_MODELS}.items():
        host.register_model(name, builder)
    for loss in LOSSES.values():
        host.register_loss(loss)
    host.allow_host_checkpoints()
