"""The expensive golden matrix, shared."""

from __future__ import annotations

import os

import numpy as np
import pytest
from golden_distance import distance
from sysu_counts import query_and_pool

from promptreid.evaluation import FeatureSet
from promptreid.evaluation.protocols import Permutations, load_rand_perm_cam


@pytest.fixture(scope="session")
def sysu_sets() -> tuple[FeatureSet, FeatureSet]:
    """Labels of SYSU-MM01's 3803 queries and 6775 visible test images; ``scenes`` hold the frame numbers."""
    return query_and_pool()


@pytest.fixture(scope="session")
def sysu_distances(sysu_sets: tuple[FeatureSet, FeatureSet]) -> np.ndarray:
    """(3803, 6775) golden distances, with the room term that shows a missing skip rule."""
    query, pool = sysu_sets
    return distance(query, pool, same=0.02, room=True)


@pytest.fixture(scope="session")
def permutations() -> Permutations:
    """The official permutations, which have no licence and so are never part of this repository."""
    path = os.environ.get("SYSU_RAND_PERM_CAM")
    if not path:
        pytest.skip("SYSU_RAND_PERM_CAM does not name the official rand_perm_cam.mat")
    return load_rand_perm_cam(path)
