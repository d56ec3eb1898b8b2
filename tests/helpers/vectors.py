"""Models' descriptions and vectors without a model: gaussian clusters, one for each identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embeddings import Embeddings, unit_length

BANDS = ("visible", "near_infrared", "thermal_infrared")


def description(space: str = "parts", width: int = 12, **changes: Any) -> ModelDescription:
    """A model of three bands; of space ``shared``, one that embeds single images of two."""
    shared = space == "shared"
    settings: dict[str, Any] = {
        "name": "toy",
        "model_id": "a" * 64,
        "modalities": ("visible", "infrared") if shared else BANDS,
        "images_per_sample": 1 if shared else 3,
        "height": 32,
        "width": 16,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "width_of_vector": width,
        "parts": tuple((start, start + width // 3) for start in range(0, width, width // 3))
        if space == "parts"
        else None,
    }
    return ModelDescription(**{**settings, **changes})


def vectors_of(
    model: ModelDescription,
    identities: Sequence[int] | np.ndarray,
    seed: int = 0,
    present: Sequence[Sequence[bool]] | np.ndarray | None = None,
    noise: float = 0.5,
) -> Embeddings:
    """An object for each entry of ``identities``: its cluster's centre and some noise, zeros for missing bands."""
    rng, count = np.random.default_rng(seed), len(identities)
    width = model.width_of_vector
    centres = np.random.default_rng(99).normal(size=(max([*identities, 0]) + 1, width))
    found = (centres[list(identities)] + noise * rng.normal(size=(count, width))).astype(np.float32)
    bands = len(model.modalities)
    if present is None:
        there = np.ones((count, bands), dtype=bool)
        if model.images_per_sample == 1:
            there = np.eye(bands, dtype=bool)[np.arange(count) % bands]
    else:
        there = np.array(present, dtype=bool).reshape(count, bands)
    for band, part in enumerate(model.parts or ()):
        found[~there[:, band], slice(*part)] = 0
    names = np.array([f"{seed}-{row}" for row in range(count)], dtype=object)
    vectors = unit_length(found) if model.normalize else found
    return Embeddings(model, vectors, there, names, np.arange(count, dtype=np.int64) % 4)
