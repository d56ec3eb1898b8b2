"""promptreid: multi-modal person and vehicle re-identification as a plugin for torchreid.

Importing it adds the data sets, models and losses to torchreid's registries; nothing of torchreid is replaced.
"""

from __future__ import annotations

from promptreid import compat, host  # compat first: it has to come before torch
from promptreid.data.batch import ModalBatch, PathBundle
from promptreid.datasets.registry import DATASETS
from promptreid.losses.registry import LOSSES
from promptreid.models.registry import MODELS
from promptreid.registration import register_all

__version__ = "0.1.0"
__all__ = ["DATASETS", "LOSSES", "MODELS", "ModalBatch", "PathBundle", "compat", "host", "register_all"]

register_all()
