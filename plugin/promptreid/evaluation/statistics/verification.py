"""Verification of identities: exact true positive rates at given false positive rates, without sorting all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from promptreid.evaluation.features import FeatureSet, check_length
from promptreid.evaluation.ranking.distances import DistanceRows
from promptreid.evaluation.ranking.matches import MatchTable

FPRS = (1e-4, 1e-3, 1e-2)
_BLOCK_ELEMENTS = 1 << 24


@dataclass(frozen=True, eq=False)
class Verification:
    """Points of an ROC curve. Fractions are in [0, 1].

    Attributes:
        protocol: name of the protocol, as printed; empty for one trial on its own.
        fpr: (F,) false positive rates asked for.
        tpr: (F,) float64, the highest true positive rate of any threshold whose false positive rate is no higher.
        num_positive: pairs of one identity, the fewest of all trials.
        num_negative: pairs of two identities, the fewest of all trials. A rate below one in this number allows none.
    """

    protocol: str
    fpr: tuple[float, ...]
    tpr: np.ndarray
    num_positive: int
    num_negative: int

    @classmethod
    def mean(cls, protocol: str, trials: Sequence[Verification]) -> Verification:
        """Mean of the rates of at least one trial, all at the same ``fpr``."""
        tpr = np.mean([trial.tpr for trial in trials], axis=0)
        fewest = (min(getattr(trial, name) for trial in trials) for name in ("num_positive", "num_negative"))
        return cls(protocol, trials[0].fpr, tpr, *fewest)

    def line(self) -> str:
        """One line: protocol, rates in per cent, numbers of pairs."""
        rates = "  ".join(f"TPR@FPR={f:g} {100 * t:.2f}" for f, t in zip(self.fpr, self.tpr, strict=True))
        return f"{self.protocol}: {rates}  | {self.num_positive} positive, {self.num_negative} negative pairs"


def roc(
    distances: DistanceRows,
    query: FeatureSet,
    gallery: FeatureSet,
    *,
    rule: str = "camera",
    fprs: Sequence[float] = FPRS,
    block_rows: int | None = None,
) -> Verification:
    """True positive rates over all pairs of a query and a gallery image that the query may see.

    Memory: a block of rows, all positive distances, and the smallest negative ones, as many as the largest rate allows
    twice over.

    Args:
        distances: (Q, G) rows, smaller is nearer.
        query, gallery: labels; their features are not looked at.
        rule: one of :data:`promptreid.evaluation.ranking.exact.RULES`.
        fprs: false positive rates, each from 0 to 1.
        block_rows: queries per block; chosen to bound the memory when None.

    Raises:
        ValueError: lengths differ, a rate is out of range, or there are no positive or no negative pairs.
    """
    check_length("query labels", len(query), distances.shape[0], "the distances' rows")
    check_length("gallery labels", len(gallery), distances.shape[1], "the distances' columns")
    if not fprs or not all(0 <= fpr <= 1 for fpr in fprs):
        raise ValueError(f"fprs: expected rates from 0 to 1, got {list(fprs)}")
    table = MatchTable(query, gallery, None, rule, distances.device)
    most = int(max(fprs) * int(table.num_kept.sum())) + 1
    positive, smallest = [], np.empty(0)
    step = block_rows or max(1, _BLOCK_ELEMENTS // max(1, len(gallery)))
    for start in range(0, len(query), step):
        rows = np.arange(start, min(start + step, len(query)))
        same, other = _split(distances, table, rows, smallest.max(initial=-np.inf) if len(smallest) >= most else np.inf)
        positive.append(same)
        smallest = _keep_smallest(np.concatenate([smallest, other]), most)
    return _rates(np.concatenate(positive), smallest, int(table.num_kept.sum()), fprs)


def _split(distances: DistanceRows, table: MatchTable, rows: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Distances of all positive pairs of some queries, and of their negative pairs below the limit."""
    block, matches = table.exclude(distances.rows(torch.from_numpy(rows).to(distances.device)), rows)
    row, slot = (matches >= 0).nonzero(as_tuple=True)
    column = matches[row, slot]
    positive = block[row, column]
    block[row, column] = torch.inf
    return positive.double().cpu().numpy(), block[block < limit].double().cpu().numpy()


def _keep_smallest(values: np.ndarray, most: int) -> np.ndarray:
    return np.partition(values, most - 1)[:most] if len(values) > most else values


def _rates(positive: np.ndarray, smallest: np.ndarray, num_pairs: int, fprs: Sequence[float]) -> Verification:
    num_negative = num_pairs - len(positive)
    if not len(positive) or not num_negative:
        raise ValueError(f"pids: {len(positive)} positive and {num_negative} negative pairs; a rate needs some of both")
    negative = np.sort(smallest)
    # With m false positives allowed, everything nearer than the (m + 1)-th nearest negative pair is accepted.
    allowed = [int(fpr * num_negative * (1 + 1e-12)) for fpr in fprs]
    limits = [negative[m] if m < num_negative else np.inf for m in allowed]
    tpr = np.array([np.mean(positive < limit) for limit in limits])
    return Verification("", tuple(fprs), tpr, len(positive), num_negative)
