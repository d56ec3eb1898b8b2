"""The head of each query's ranked list: what a reader of pictures sees, under the rule that the numbers follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from promptreid.evaluation.features import FeatureSet, check_length
from promptreid.evaluation.ranking.distances import DistanceRows
from promptreid.evaluation.ranking.matches import MatchTable
from promptreid.evaluation.ranking.nearest import Nearest

_BLOCK_ELEMENTS = 1 << 24
_FIRST_COLUMNS = 256


@dataclass(frozen=True, eq=False)
class RankLists:
    """The nearest gallery images that each query may see, nearest first; equal distances by gallery index.

    Attributes:
        query, gallery: the images of one trial, with labels and names.
        columns: (Q, k) int64 rows of ``gallery``; -1 where a query sees fewer.
        level: what the protocol's first match is counted in, ``"image"`` or ``"identity"``.
    """

    query: FeatureSet
    gallery: FeatureSet
    columns: np.ndarray
    level: str = "image"

    def row(self, query: int) -> tuple[np.ndarray, np.ndarray]:
        """Of one query: rows of the gallery, and (as bool) which of them are matches."""
        columns = self.columns[query]
        columns = columns[columns >= 0]
        return columns, self.gallery.pids[columns] == self.query.pids[query]


def nearest_visible(
    distances: DistanceRows, query: FeatureSet, gallery: FeatureSet, k: int, rule: str = "camera"
) -> np.ndarray:
    """(Q, k) int64 gallery rows, nearest first, without those that the rule hides from the query; -1 fills up.

    Args:
        distances: (Q, G), smaller is nearer.
        query, gallery: labels; their features are not looked at.
        k: at least 1; a gallery may have fewer.
        rule: one of :data:`promptreid.evaluation.ranking.exact.RULES`.

    Raises:
        ValueError: ``k`` is below 1, or lengths differ.
    """
    if k < 1:
        raise ValueError(f"k: {k} is below 1")
    check_length("query labels", len(query), distances.shape[0], "the distances' rows")
    check_length("gallery labels", len(gallery), distances.shape[1], "the distances' columns")
    table = MatchTable(query, gallery, None, rule, distances.device)
    nearest = Nearest(len(query), k, distances.device)
    step = max(1, _BLOCK_ELEMENTS // len(gallery))
    for start in range(0, len(query), step):
        rows = np.arange(start, min(start + step, len(query)))
        block, _ = table.exclude(distances.rows(torch.from_numpy(rows).to(distances.device)), rows)
        _add(nearest, slice(start, start + len(rows)), block)
    return nearest.indices.cpu().numpy()


def _add(nearest: Nearest, rows: slice, block: torch.Tensor) -> None:
    """In pieces that widen, because of the first one nothing can be left out."""
    start, columns = 0, _FIRST_COLUMNS
    while start < block.shape[1]:
        nearest.add(rows, start, block[:, start : start + columns])
        start, columns = start + columns, 2 * columns
