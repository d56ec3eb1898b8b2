"""Exact nearest neighbours in galleries of any size: blocks are compared and forgotten, only the k best are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from promptreid.evaluation.features import Array, as_tensor
from promptreid.evaluation.ranking.distances import FeatureDistances, full_precision
from promptreid.evaluation.ranking.threads import for_each

_QUERY_ROWS = 512
_FIRST_COLUMNS = 256
_MOST_COLUMNS = 1 << 15
_GROUP = 64

Visitor = Callable[[slice, int, torch.Tensor], None]


class Neighbours(NamedTuple):
    """The k nearest gallery items of each query, nearest first; equal distances by gallery index.

    Attributes:
        distances: (Q, k) float32.
        indices: (Q, k) int64 rows of the gallery.
    """

    distances: torch.Tensor
    indices: torch.Tensor


def topk(query: Array, gallery: Array, k: int, metric: str = "euclidean") -> Neighbours:
    """The ``k`` nearest gallery items of each query, by exhaustive comparison.

    Memory: queries, results and a few blocks of 512 x 32768 distances. The gallery is read once, block by block, so a
    ``numpy.memmap`` works; blocks are brought to the queries' device.

    Args:
        query: (Q, D) floats.
        gallery: (G, D) floats.
        k: 1 to G.
        metric: ``"euclidean"`` (squared) or ``"cosine"``.

    Raises:
        ValueError: ``k`` is out of range, or the features cannot be compared; the message names the argument.
    """
    if not 1 <= k <= len(gallery):
        raise ValueError(f"k: {k} neighbours of a gallery of {len(gallery)}; use 1 to {len(gallery)}")
    nearest = Nearest(len(query), k, as_tensor(query).device)
    scan(query, gallery, metric, nearest.add)
    return Neighbours(nearest.distances, nearest.indices)


def scan(query: Array, gallery: Array, metric: str, visit: Visitor) -> None:
    """Call ``visit(rows, first_column, tile)`` for every tile of the distance matrix, on the CPU from several threads.

    For each query the columns come in ascending order. ``tile`` is the visitor's to overwrite. The first blocks are
    narrow, since nothing is known yet by which to leave most of their items out.
    """
    queries = as_tensor(query)
    start, columns = 0, _FIRST_COLUMNS
    while start < len(gallery):
        stop = min(start + columns, len(gallery))
        block = as_tensor(gallery[start:stop]).to(queries.device)
        _visit_block(FeatureDistances(queries, block, metric, gallery_start=start), start, visit)
        start, columns = stop, min(2 * columns, _MOST_COLUMNS)


def _visit_block(distances: FeatureDistances, start: int, visit: Visitor) -> None:
    num_queries = distances.shape[0]

    def work(first: int) -> None:
        rows = slice(first, min(first + _QUERY_ROWS, num_queries))
        index = torch.arange(rows.start, rows.stop, device=distances.device)
        visit(rows, start, distances.rows(index))

    with full_precision(distances.device):  # held here, because threads that each set and reset it would interfere
        for_each(work, ((first,) for first in range(0, num_queries, _QUERY_ROWS)), distances.device)


class Nearest:
    """The k nearest items among those seen so far.

    Args:
        num_queries: Q.
        k: how many to keep.
        device: of the tiles.

    Attributes:
        distances: (Q, k) float32, ascending; ``inf`` where fewer than k items were seen.
        indices: (Q, k) int64 gallery rows; -1 there.
    """

    def __init__(self, num_queries: int, k: int, device: torch.device) -> None:
        self.distances = torch.full((num_queries, k), torch.inf, device=device)
        self.indices = torch.full((num_queries, k), -1, dtype=torch.int64, device=device)

    def add(self, rows: slice, start: int, tile: torch.Tensor) -> None:
        """Take (B, W) distances of the queries ``rows`` to the gallery items from ``start`` on into account.

        The items of a query must come in ascending order. Then a later one that is just as near as the last kept loses
        its tie, and a stable sort of the kept ones followed by the new ones settles all others.
        """
        best, indices = self.distances[rows], self.indices[rows]
        row, column = _below(tile, best[:, -1])
        if not len(row):
            return
        counts = torch.bincount(row, minlength=len(best))
        place = best.shape[1] + torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
        width = best.shape[1] + int(counts.max())
        merged, origin = best.new_full((len(best), width), torch.inf), indices.new_full((len(best), width), -1)
        merged[:, : best.shape[1]], origin[:, : best.shape[1]] = best, indices
        merged[row, place], origin[row, place] = tile[row, column], start + column
        merged, order = merged.sort(dim=1, stable=True)
        best.copy_(merged[:, : best.shape[1]])
        indices.copy_(origin.gather(1, order[:, : best.shape[1]]))


def _below(tile: torch.Tensor, limits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of the entries below their row's limit, row by row, columns ascending.

    The minima of groups of columns leave nearly everything out in one fast pass.
    """
    size = _GROUP if tile.shape[1] % _GROUP == 0 else 1
    groups = tile.view(len(tile), -1, size)
    row, group = (groups.amin(2) < limits[:, None]).nonzero(as_tuple=True)
    found, offset = (groups[row, group] < limits[row, None]).nonzero(as_tuple=True)
    return row[found], group[found] * size + offset
