"""Precision and recall over all pairs of queries and gallery images, as one distance limit rises."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from promptreid.evaluation.features import FeatureSet, check_length
from promptreid.evaluation.ranking.distances import DistanceRows
from promptreid.evaluation.ranking.matches import MatchTable

POINTS = 127
"""Points of a curve: as many as TensorBoard draws."""
_BLOCK_ELEMENTS = 1 << 24


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """What is accepted at limits that let more and more of the pairs of one identity in.

    Attributes:
        limits: (P,) float64 distances, rising; a pair is accepted at or below one.
        true_positives, false_positives: (P,) int64 accepted pairs of one identity, and of two.
        num_positive, num_negative: all pairs of one identity, and of two.
    """

    limits: np.ndarray
    true_positives: np.ndarray
    false_positives: np.ndarray
    num_positive: int
    num_negative: int

    @property
    def precision(self) -> np.ndarray:
        """(P,) share of the accepted pairs that are of one identity."""
        share: np.ndarray = self.true_positives / (self.true_positives + self.false_positives)
        return share

    @property
    def recall(self) -> np.ndarray:
        """(P,) share of the pairs of one identity that are accepted; never falls, and ends with 1."""
        share: np.ndarray = self.true_positives / self.num_positive
        return share


def precision_recall(
    distances: DistanceRows, query: FeatureSet, gallery: FeatureSet, *, rule: str = "camera", points: int = POINTS
) -> PrecisionRecall:
    """Precision and recall over all pairs of a query and a gallery image that the query may see.

    Distances are computed twice, a block of rows at a time: once for the limits, which are distances of pairs of one
    identity, and once to count the others. Point p of P accepts the nearest ``ceil(p / P)`` of the pairs of one
    identity, and those that are as near.

    Args:
        distances: (Q, G) rows, smaller is nearer.
        query, gallery: labels; their features are not looked at.
        rule: one of :data:`promptreid.evaluation.ranking.exact.RULES`.
        points: P, at least 1.

    Raises:
        ValueError: lengths differ, or no query has a match that it may see.
    """
    check_length("query labels", len(query), distances.shape[0], "the distances' rows")
    check_length("gallery labels", len(gallery), distances.shape[1], "the distances' columns")
    table = MatchTable(query, gallery, None, rule, distances.device)
    step = max(1, _BLOCK_ELEMENTS // max(1, len(gallery)))
    blocks = [np.arange(start, min(start + step, len(query))) for start in range(0, len(query), step)]
    positive = torch.cat([_split(distances, table, rows)[0] for rows in blocks]).sort().values
    if not len(positive):
        raise ValueError(f"pids: none of the {len(query)} queries has a match that it may see")
    limits = positive[(np.ceil(np.arange(1, points + 1) * len(positive) / points) - 1).astype(np.int64)]
    accepted = torch.zeros(points + 1, dtype=torch.int64, device=limits.device)
    for rows in blocks:
        block = _split(distances, table, rows)[1]
        near = block[block <= limits[-1]]
        accepted += torch.bincount(torch.searchsorted(limits, near), minlength=points + 1)
    return PrecisionRecall(
        limits=limits.double().cpu().numpy(),
        true_positives=torch.searchsorted(positive, limits, right=True).cpu().numpy(),
        false_positives=accepted[:points].cumsum(0).cpu().numpy(),
        num_positive=len(positive),
        num_negative=int(table.num_kept.sum()) - len(positive),
    )


def _split(distances: DistanceRows, table: MatchTable, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances of the pairs of one identity, and all, in which these and the hidden ones are infinite."""
    block, matches = table.exclude(distances.rows(torch.from_numpy(rows).to(distances.device)), rows)
    row, slot = (matches >= 0).nonzero(as_tuple=True)
    column = matches[row, slot]
    positive = block[row, column]
    block[row, column] = torch.inf
    return positive, block
