"""The drop-in evaluator against torchreid's own."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from promptreid import host
from promptreid.evaluation import evaluate_rank


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_g=st.integers(20, 60), ids=st.integers(1, 8), cameras=st.integers(2, 4))
def test_equals_torchreid_where_that_does_not_crash(seed: int, num_g: int, ids: int, cameras: int) -> None:
    random = np.random.default_rng(seed)
    num_q, max_rank = 9, 10
    q_pids, g_pids = random.integers(0, ids + 1, num_q), random.integers(0, ids, num_g)
    q_camids, g_camids = random.integers(0, cameras, num_q), random.integers(0, cameras, num_g)
    hidden = (q_pids[:, None] == g_pids) & (q_camids[:, None] == g_camids)
    assume((num_g - hidden.sum(1)).min() >= max_rank)  # torchreid cannot stack shorter curves
    assume(((q_pids[:, None] == g_pids) & ~hidden).any())
    distances = random.permuted(np.arange(num_q * num_g)).reshape(num_q, num_g) / 7.0  # its sort is not stable
    labels = (q_pids, g_pids, q_camids, g_camids)
    cmc, mean_ap = host.metrics.evaluate_rank(distances, *labels, max_rank=max_rank, use_cython=False)
    our_cmc, our_mean_ap = evaluate_rank(distances, *labels, max_rank=max_rank)
    np.testing.assert_allclose(our_cmc, cmc, atol=1e-6)
    assert our_mean_ap == pytest.approx(mean_ap, abs=1e-6)


def test_signature_is_torchreids() -> None:
    theirs = inspect.signature(host.metrics.evaluate_rank).parameters
    ours = inspect.signature(evaluate_rank).parameters
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]


def test_small_galleries_give_a_whole_curve() -> None:
    # torchreid raises here: the two queries keep three and two images.
    cmc, _ = evaluate_rank(torch.tensor([[1.0, 2, 3], [1, 2, 3]]), [0, 1], [0, 1, 1], [0, 0], [1, 0, 1])
    np.testing.assert_allclose(cmc, [0.5] + [1.0] * 49)


def test_cuhk03_and_hopeless_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="use_metric_cuhk03"):
        evaluate_rank(np.ones((1, 1)), [0], [0], [0], [1], use_metric_cuhk03=True)
    with pytest.raises(ValueError, match="has a match in the gallery"):
        evaluate_rank(np.ones((1, 1)), [0], [0], [0], [0])
