"""torchreid's ``metrics.evaluate_rank``, exact, stable and without the full sort."""

from __future__ import annotations

import numpy as np

from promptreid.evaluation.features import Array, Ids
from promptreid.evaluation.ranking.exact import rank_distances
from promptreid.evaluation.results import Trial


def evaluate_rank(
    distmat: Array,
    q_pids: Ids,
    g_pids: Ids,
    q_camids: Ids,
    g_camids: Ids,
    max_rank: int = 50,
    use_metric_cuhk03: bool = False,
    use_cython: bool = True,
) -> tuple[np.ndarray, float]:
    """CMC and mAP under the Market-1501 rule, with torchreid's signature.

    Differs from torchreid's own in three ways: equal distances rank by gallery index; the CMC always has ``max_rank``
    entries, so that small galleries neither shorten it nor raise; the result does not depend on the query order.

    Args:
        distmat: (Q, G) distances, smaller is nearer; not changed.
        q_pids, g_pids, q_camids, g_camids: integer labels.
        max_rank: length of the CMC.
        use_metric_cuhk03: not available.
        use_cython: accepted and ignored, there is one implementation.

    Returns:
        (max_rank,) float64 CMC and the mAP, in [0, 1].

    Raises:
        ValueError: ``use_metric_cuhk03`` is set, lengths differ, values are not finite, or no query has a match.
    """
    if use_metric_cuhk03:
        raise ValueError("use_metric_cuhk03: CUHK03's classic single-shot metric draws random galleries and is not "
                         "implemented here; use torchreid's own evaluate_rank, or CUHK03's new protocol")  # fmt: skip
    trial = Trial.of(rank_distances(distmat, q_pids, g_pids, q_camids, g_camids), max_rank)
    return trial.cmc, trial.mAP
