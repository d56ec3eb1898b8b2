"""What a checkpoint says of the training behind its weights: its data and its configuration.

A test needs both: the row of each camera in the model's camera table, and the certainty that the model and its input
are what they were in training.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from promptreid.config.for_others import without_paths
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.checkpoints.resume_check import listed, test_differences
from promptreid.json_texts import parse_json
from promptreid.models.sie import SideInformation

_RECORD = {"identities": int, "cameras": int, "camera_rows": dict, "modalities": list, "images_per_sample": int}

logger = logging.getLogger(__name__)


def data_record(datamanager: Any) -> dict[str, Any]:
    """What a model's shape and its camera table owe to the training data: Python primitives for a checkpoint."""
    dataset = getattr(datamanager.train_loader, "dataset", None)
    return {
        "identities": int(datamanager.num_train_pids),
        "cameras": int(getattr(dataset, "num_cameras", 0) or datamanager.num_train_cams),
        "camera_rows": dict(getattr(datamanager, "camera_rows", {})),
        "modalities": list(getattr(dataset, "modalities", ("visible",))),
        "images_per_sample": int(getattr(dataset, "images_per_sample", 1)),
    }


def header_of(state: Mapping[str, Any]) -> dict[str, str]:
    """The same for the header of a file of weights, of a checkpoint's state.

    Such files are handed to others: the configuration is without the folders of the machine.
    """
    return {"data": json.dumps(state.get("data", {})), "config": without_paths(str(state.get("config", "")))}


def state_of_header(about: Mapping[str, str]) -> dict[str, Any]:
    """What a checkpoint would say, from the header of a file of weights; empty where that says nothing."""
    try:
        data = parse_json(about.get("data", "{}"))
    except ValueError:
        data = {}
    return {"data": data if isinstance(data, dict) else {}, "config": about.get("config", "")}


def data_behind(path: Path) -> dict[str, Any] | None:
    """The :func:`data_record` of weights that are to be tested, None where they say nothing of it.

    Args:
        path: a checkpoint or a file of weights, which may not be there.
    """
    if not path.is_file():
        return None
    if checkpoint.PATTERN.fullmatch(path.name):
        data = checkpoint.load(path).get("data")
    else:
        data = state_of_header(checkpoint.about_weights(path))["data"]
    return data if is_record(data) else None


def is_record(data: Any) -> bool:
    """Whether something is what :func:`data_record` makes."""
    if not isinstance(data, dict) or not all(isinstance(data.get(name), kind) for name, kind in _RECORD.items()):
        return False
    rows, names = data["camera_rows"], data["modalities"]
    numbers = (*rows.values(), data["identities"], data["cameras"], data["images_per_sample"])
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        return False
    return all(isinstance(name, str) for name in (*rows, *names)) and 0 < data["images_per_sample"] <= len(names)


def place_cameras(datamanager: Any, model: nn.Module, data: Mapping[str, Any], path: Path) -> None:
    """Let test images look up their cameras in the rows where the training has put them, with a warning for others.

    Args:
        datamanager: of the test.
        model: as built.
        data: the checkpoint's :func:`data_record`; empty in checkpoints of release 0.1 and of others, whose training
            sets are taken to be those of ``data.sources``.
        path: the checkpoint, for messages.
    """
    if not hasattr(datamanager, "map_cameras"):
        return
    knows_cameras = isinstance(getattr(model, "sie", None), SideInformation)
    rows = data.get("camera_rows")
    if rows is None and knows_cameras and set(datamanager.targets) - set(datamanager.sources):
        logger.warning(
            "%s does not say which cameras it was trained on; they are taken to be those of data.sources %s",
            path, list(datamanager.sources),
        )  # fmt: skip
    datamanager.map_cameras(datamanager.camera_rows if rows is None else rows, tell=knows_cameras)


def check_configuration(written: str, current: str, path: Path, allowed: bool) -> None:
    """Refuse to test weights as another model, or on other input, than they were trained as and on.

    Args:
        written: the checkpoint's configuration as YAML; empty when it has none.
        current: that of the test.
        path: the checkpoint, for messages.
        allowed: whether the user says that it is meant (``test.allow_differences``).

    Raises:
        ValueError: a key of the model or of its input differs.
    """
    try:
        differences = test_differences(written, current) if written and current else []
    except ValueError as error:
        raise ValueError(f"{path}: its configuration cannot be read: {error}") from None
    if not differences:
        return
    if not allowed:
        raise ValueError(
            f"{path} was trained with another configuration ({listed(differences)}): test it with its own, such as the "
            "config.yaml beside it, or set test.allow_differences True if this is meant"
        )
    logger.warning("tested with another configuration than trained with: %s", listed(differences))
