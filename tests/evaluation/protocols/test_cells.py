"""Cells of a pool and draws from them."""

from __future__ import annotations

import random

import numpy as np

from promptreid.evaluation import FeatureSet
from promptreid.evaluation.protocols.cells import cells_of, draw_by_seed


def test_cells_keep_the_order_given_and_skip_other_cameras() -> None:
    pool = FeatureSet(None, np.array([2, 1, 1, 2, 1, 3]), np.array([1, 1, 0, 1, 1, 4]))
    cells = {cell: indices.tolist() for cell, indices in cells_of(pool, (0, 1)).items()}
    assert cells == {(1, 0): [2], (1, 1): [1, 4], (2, 1): [0, 3]}
    assert list(cells) == [(1, 0), (1, 1), (2, 1)]


def test_an_empty_pool_has_no_cells_and_an_empty_draw() -> None:
    pool = FeatureSet(None, np.array([1]), np.array([5]))
    assert cells_of(pool, (0,)) == {}
    assert draw_by_seed({}, 1, 0).tolist() == []


def test_one_stream_runs_through_all_cells() -> None:
    cells = {(1, 0): np.arange(10, 20), (2, 0): np.arange(30, 37)}
    stream = random.Random(4)
    assert draw_by_seed(cells, 1, 4).tolist() == [stream.choice(range(10, 20)), stream.choice(range(30, 37))]
