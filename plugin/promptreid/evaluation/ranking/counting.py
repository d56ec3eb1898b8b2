"""Ranks by counting: the rank of a match is one plus the number of gallery items before it.

Nothing is sorted. A match is compared with its whole row, tile by tile, so that the tiles stay in the processor's
cache; two sweeps (smaller, smaller or equal) tell the rank and whether ties need a closer look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

# On CPUs tiles of 1 MB were the fastest. On GPUs, where each launch costs, they should be large (not measured).
_TILE_ELEMENTS = {"cpu": 1 << 18, "cuda": 1 << 26}
_TILE_COLUMNS = {"cpu": 1 << 12, "cuda": 1 << 20}
_TIE_ELEMENTS = 1 << 22


def stable_ranks(distances: torch.Tensor, matches: torch.Tensor) -> torch.Tensor:
    """1-based ranks of the matches; equal distances rank by column.

    Args:
        distances: (Q, G) floats; items that do not take part are ``inf``.
        matches: (Q, M) int64 columns of each query's matches; -1 fills up the rows, at their ends.

    Returns:
        (Q, M) int64 ranks; 0 where ``matches`` is -1.
    """
    present = matches >= 0
    own = distances.gather(1, matches.clamp(min=0)).masked_fill_(~present, -torch.inf)
    below, up_to = _count(distances, own, present.sum(1))
    ranks = (below + 1).masked_fill_(~present, 0)
    _add_earlier_ties(ranks, distances, matches, own, present & (up_to - below > 1))
    return ranks


def identities_before(
    distances: torch.Tensor, identities: torch.Tensor, num_identities: int, match: torch.Tensor
) -> torch.Tensor:
    """How many identities have an image before the given one; equal distances rank by column.

    Args:
        distances: (Q, G) floats; items that do not take part are ``inf``.
        identities: (G,) int64 in 0..num_identities-1.
        num_identities: number of different identities.
        match: (Q,) int64 column of each query's image, whose distance is finite.

    Returns:
        (Q,) int64.
    """
    own = distances.gather(1, match[:, None])
    columns = torch.arange(distances.shape[1], device=distances.device)
    before = (distances == own).logical_and_(columns < match[:, None]).logical_or_(distances < own)
    seen = distances.new_zeros((len(distances), num_identities), dtype=torch.float32)
    seen.scatter_add_(1, identities.expand_as(distances), before.float())
    return (seen > 0).sum(1)


def _count(distances: torch.Tensor, own: torch.Tensor, widths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(Q, M) numbers of items below each match and up to it; only the first ``widths`` matches of a row count."""
    below, up_to = torch.zeros_like(own, dtype=torch.int64), torch.zeros_like(own, dtype=torch.int64)
    tile_columns = max(1, min(distances.shape[1], _TILE_COLUMNS.get(distances.device.type, 1 << 20)))
    tile_rows = max(1, _TILE_ELEMENTS.get(distances.device.type, 1 << 26) // tile_columns)
    hits = distances.new_empty((min(tile_rows, len(distances)), tile_columns), dtype=torch.float32)
    for rows in _spans(len(distances), tile_rows):
        width = int(widths[rows].max())
        for columns in _spans(distances.shape[1], tile_columns):
            tile = distances[rows, columns]
            room = hits.flatten()[: tile.numel()].view_as(tile)
            below[rows, :width] += _count_tile(torch.lt, tile, own[rows, :width], room)
            up_to[rows, :width] += _count_tile(torch.le, tile, own[rows, :width], room)
    return below, up_to


def _count_tile(
    compare: Callable[..., torch.Tensor], tile: torch.Tensor, own: torch.Tensor, room: torch.Tensor
) -> torch.Tensor:
    # Comparing into floats and summing those is several times faster than counting booleans.
    sums = room.new_empty((own.shape[1], len(own)))
    for match, total in zip(own.unbind(1), sums.unbind(0), strict=True):
        compare(tile, match[:, None], out=room)
        torch.sum(room, 1, out=total)
    return sums.T.long()


def _add_earlier_ties(
    ranks: torch.Tensor, distances: torch.Tensor, matches: torch.Tensor, own: torch.Tensor, tied: torch.Tensor
) -> None:
    columns = torch.arange(distances.shape[1], device=distances.device)
    row, column = tied.nonzero(as_tuple=True)
    for part in _spans(len(row), max(1, _TIE_ELEMENTS // max(1, distances.shape[1]))):
        r, c = row[part], column[part]
        earlier = (distances[r] == own[r, c, None]).logical_and_(columns < matches[r, c, None])
        ranks[r, c] += earlier.sum(1)


def _spans(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, length, step))
