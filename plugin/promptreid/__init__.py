"""promptreid: multi-modal person and vehicle re-identification as a plugin for torchreid.

Importing it adds the data sets, models and losses to torchreid's registries; nothing of torchreid is replaced.
"""

from __future__ import annotations

from promptreid import compat, host  # compat first: it has to come before torch
from promptreid.config.schema import Key, Range
from promptreid.data.batch import ModalBatch, PathBundle
from promptreid.data.dataset import ModalDataset
from promptreid.datasets.registry import DATASETS
from promptreid.evaluation.protocols import register_protocol
from promptreid.losses.registry import LOSSES
from promptreid.methods.base import METHODS, MODELS, DataFacts, Method, register_method
from promptreid.registration import register_all, register_dataset, register_loss
from promptreid.versions import version_of

__version__ = version_of("promptreid")
__all__ = [
    "DATASETS",
    "LOSSES",
    "METHODS",
    "MODELS",
    "DataFacts",
    "Key",
    "Method",
    "ModalBatch",
    "ModalDataset",
    "PathBundle",
    "Range",
    "compat",
    "host",
    "register_all",
    "register_dataset",
    "register_loss",
    "register_method",
    "register_protocol",
]

register_all()
