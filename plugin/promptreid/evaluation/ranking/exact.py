"""Exact and stable ranking of a gallery for each query: AP, INP and the rank of the first match.

The distances come a block of query rows at a time. A match's own distance is read from that same block, so rounding
cannot put it on the wrong side of an equal one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from promptreid.evaluation.features import Array, FeatureSet, Ids, as_ids, check_length
from promptreid.evaluation.ranking.counter import Counter, choose_counter
from promptreid.evaluation.ranking.counting import identities_before
from promptreid.evaluation.ranking.distances import DistanceRows, FeatureDistances, GivenDistances
from promptreid.evaluation.ranking.matches import MatchTable
from promptreid.evaluation.ranking.threads import for_each

RULES = ("camera", "location", "none")
"""What a query does not see: its own identity in its own camera (Market-1501); everything at its own location
(SYSU-MM01; locations take the place of the cameras); nothing."""
LEVELS = ("image", "identity")
"""What the first match is counted in: gallery images, or identities of which only the nearest image counts."""

_BLOCK_ELEMENTS = 1 << 25
_PART_ELEMENTS = 1 << 21


@dataclass(frozen=True, eq=False)
class Ranks:
    """Outcome of each query; queries without a match have rank 0 and NaN.

    Attributes:
        first: (Q,) int64 rank of the first match, from 1, in images or identities.
        average_precision: (Q,) float64, mean over the matches of k / rank.
        inverse_penalty: (Q,) float64, number of matches / rank of the last one (INP, Ye et al., TPAMI 2021).
        num_matches: (Q,) int64 true matches among the kept gallery images.
        num_kept: (Q,) int64 gallery images that the query is compared with.
    """

    first: np.ndarray
    average_precision: np.ndarray
    inverse_penalty: np.ndarray
    num_matches: np.ndarray
    num_kept: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """(Q,) bool: the query has at least one match."""
        return self.num_matches > 0

    def select(self, queries: np.ndarray) -> Ranks:
        """The outcomes of these queries only."""
        return Ranks(*(getattr(self, name)[queries] for name in self.__dataclass_fields__))

    @classmethod
    def empty(cls, num_queries: int) -> Ranks:
        """All queries without a match."""
        ints, floats = np.zeros((3, num_queries), dtype=np.int64), np.full((2, num_queries), np.nan)
        return cls(ints[0], floats[0], floats[1], ints[1], ints[2])


def rank_features(
    query: Array,
    gallery: Array,
    q_pids: Ids,
    g_pids: Ids,
    q_camids: Ids,
    g_camids: Ids,
    *,
    metric: str = "euclidean",
    rule: str = "camera",
    level: str = "image",
) -> Ranks:
    """Rank the gallery for every query by the distance of their features, in float32.

    Args:
        query, gallery: (Q, D) and (G, D) floats, torch or numpy.
        q_pids, g_pids, q_camids, g_camids: integer labels of the rows.
        metric: ``"euclidean"`` (squared) or ``"cosine"``.
        rule: one of ``RULES``.
        level: one of ``LEVELS``.

    Raises:
        ValueError: lengths differ, values are not finite, or a name is unknown; the message names the argument.
    """
    distances = FeatureDistances(query, gallery, metric)
    labels = _label_sets(distances.shape, q_pids, g_pids, q_camids, g_camids)
    return rank_subsets(distances, *labels, rule=rule, level=level)[0]


def rank_distances(
    distances: Array,
    q_pids: Ids,
    g_pids: Ids,
    q_camids: Ids,
    g_camids: Ids,
    *,
    rule: str = "camera",
    level: str = "image",
) -> Ranks:
    """As :func:`rank_features`, from a given (Q, G) matrix in which smaller is nearer; it is not changed."""
    given = GivenDistances(distances)
    labels = _label_sets(given.shape, q_pids, g_pids, q_camids, g_camids)
    return rank_subsets(given, *labels, rule=rule, level=level)[0]


def rank_subsets(
    distances: DistanceRows,
    query: FeatureSet,
    gallery: FeatureSet,
    *,
    rule: str,
    level: str,
    subsets: Sequence[np.ndarray] | None = None,
    block_rows: int | None = None,
) -> list[Ranks]:
    """Rank several galleries drawn from one pool, computing each distance once.

    Args:
        distances: rows of query x pool distances.
        query, gallery: the labels of queries and pool; their features are not looked at.
        rule: one of ``RULES``.
        level: one of ``LEVELS``.
        subsets: pool indices of each gallery, at least one; their order decides ties. The whole pool when None.
        block_rows: queries per block; chosen to bound the memory when None.

    Returns:
        one :class:`Ranks` per gallery.
    """
    _check_name("rule", rule, RULES)
    _check_name("level", level, LEVELS)
    check_length("query labels", len(query), distances.shape[0], "the distances' rows")
    check_length("gallery labels", len(gallery), distances.shape[1], "the distances' columns")
    distances, gallery, chosen = _restrict(distances, gallery, subsets)
    tables = [MatchTable(query, gallery, subset, rule, distances.device) for subset in chosen]
    outcomes = [Ranks.empty(len(query)) for _ in tables]
    for table, ranks in zip(tables, outcomes, strict=True):
        ranks.num_kept[:] = table.num_kept
    comparisons = sum(int(table.num_same.sum()) * table.num_gallery for table in tables)
    counter = choose_counter(comparisons, distances.device)
    for rows in _blocks(tables, len(gallery), block_rows):
        _rank_block(distances, tables, level, counter, rows, outcomes)
    return outcomes


def _rank_block(
    distances: DistanceRows,
    tables: Sequence[MatchTable],
    level: str,
    counter: Counter,
    rows: np.ndarray,
    outcomes: Sequence[Ranks],
) -> None:
    """Write the outcomes of the queries ``rows``; their distances are forgotten before the next ones are computed."""
    block = distances.rows(torch.from_numpy(rows).to(distances.device))
    parts = (
        (block[span], table, level, counter, rows[span], ranks)
        for span in _spans(block)
        for table, ranks in zip(tables, outcomes, strict=True)
    )
    for_each(_rank_part, parts, distances.device)


def _restrict(
    distances: DistanceRows, gallery: FeatureSet, subsets: Sequence[np.ndarray] | None
) -> tuple[DistanceRows, FeatureSet, list[np.ndarray | None]]:
    """Leave out what no gallery uses, and renumber the subsets accordingly."""
    if subsets is None:
        return distances, gallery, [None]
    if len(subsets) == 1 and np.array_equal(subsets[0], np.arange(len(gallery))):
        return distances, gallery, [None]
    used = np.unique(np.concatenate(subsets))
    if len(used) < len(gallery):
        distances = distances.columns(used)
        gallery = FeatureSet(None, gallery.pids[used], gallery.camids[used])
    return distances, gallery, [np.searchsorted(used, subset) for subset in subsets]


def _blocks(tables: Sequence[MatchTable], num_gallery: int, block_rows: int | None) -> list[np.ndarray]:
    """Queries that have a match, in blocks; alike numbers of matches together, as the longest row sets the work."""
    most = np.max([table.num_same for table in tables], axis=0, initial=0)
    order = np.argsort(-most, kind="stable")[: np.count_nonzero(most)]
    step = block_rows or max(1, _BLOCK_ELEMENTS // max(1, num_gallery))
    return [order[start : start + step] for start in range(0, len(order), step)]


def _spans(block: torch.Tensor) -> list[slice]:
    """Rows of a block in parts for the threads; a GPU takes them at once."""
    step = max(1, _PART_ELEMENTS // max(1, block.shape[1])) if block.device.type == "cpu" else len(block)
    return [slice(start, start + step) for start in range(0, len(block), step)]


def _rank_part(
    block: torch.Tensor, table: MatchTable, level: str, counter: Counter, rows: np.ndarray, ranks: Ranks
) -> None:
    """Write the outcomes of the queries ``rows``, whose distances to the pool are ``block``."""
    distances, matches = table.exclude(block, rows)
    if not matches.shape[1]:
        return
    present = matches >= 0
    count = present.sum(1)
    never = torch.iinfo(torch.int64).max
    found = counter(distances, matches).masked_fill_(~present, never).sort(1)[0]
    first = found[:, 0]
    if level == "identity":
        nearest = _nearest(distances, matches, present)
        first = 1 + identities_before(distances, table.identities, table.num_identities, nearest)
    precision = torch.arange(1, matches.shape[1] + 1, device=count.device) / found.double()
    last = found.gather(1, (count[:, None] - 1).clamp(min=0))[:, 0]

    valid = count > 0
    queries = rows[valid.cpu().numpy()]
    ranks.num_matches[queries] = count[valid].cpu().numpy()
    ranks.first[queries] = first[valid].cpu().numpy()
    ranks.average_precision[queries] = (precision.where(present, 0).sum(1) / count)[valid].cpu().numpy()
    ranks.inverse_penalty[queries] = (count / last.double())[valid].cpu().numpy()


def _nearest(distances: torch.Tensor, matches: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """(Q,) column of each query's nearest match, the first one among equals; any column where there is none."""
    own = distances.gather(1, matches.clamp(min=0)).masked_fill_(~present, torch.inf)
    nearest = (own == own.amin(1, keepdim=True)) & present
    last = distances.shape[1] - 1
    return matches.masked_fill(~nearest, last).amin(1)


def _label_sets(
    shape: tuple[int, int], q_pids: Ids, g_pids: Ids, q_camids: Ids, g_camids: Ids
) -> tuple[FeatureSet, FeatureSet]:
    values = {"q_pids": q_pids, "g_pids": g_pids, "q_camids": q_camids, "g_camids": g_camids}
    ids = {name: as_ids(name, value) for name, value in values.items()}
    for name, array in ids.items():
        side = 0 if name.startswith("q_") else 1
        check_length(name, len(array), shape[side], ("the query", "the gallery")[side])
    return FeatureSet(None, ids["q_pids"], ids["q_camids"]), FeatureSet(None, ids["g_pids"], ids["g_camids"])


def _check_name(argument: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise ValueError(f"{argument}: {name!r} is not one of {tuple(known)}")
