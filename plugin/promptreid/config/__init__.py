"""The configuration: torchreid's tree verbatim plus promptreid's own keys."""

from __future__ import annotations

from promptreid.config.defaults import default_config
from promptreid.config.kwargs import datamanager_kwargs, engine_run_kwargs, lr_scheduler_kwargs, optimizer_kwargs
from promptreid.config.load import dump_config, load_config
from promptreid.config.validate import validate

__all__ = [
    "datamanager_kwargs",
    "default_config",
    "dump_config",
    "engine_run_kwargs",
    "load_config",
    "lr_scheduler_kwargs",
    "optimizer_kwargs",
    "validate",
]
