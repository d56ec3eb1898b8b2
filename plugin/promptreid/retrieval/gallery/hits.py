"""Results of a search."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Hit(NamedTuple):
    """Gallery object that a query has found.

    Attributes:
        id: its name in the gallery.
        score: how alike it is to the query; larger is more alike.
        path: of its image; empty where unknown.
        camera: -1 where unknown.
        time: in seconds; NaN where unknown.
        bands: which of the model's bands its vector was made of.
    """

    id: str
    score: float
    path: str = ""
    camera: int = -1
    time: float = math.nan
    bands: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Hits:
    """Results of each query, most alike first; equal scores in the order in which objects were added.

    Attributes:
        queries: (Q,) names of the queries.
        rows: of each query, up to k gallery objects; fewer where filters leave no more.
        known: of each query, whether its best score reaches the index's threshold; None without a threshold.
    """

    queries: tuple[str, ...]
    rows: tuple[tuple[Hit, ...], ...]
    known: tuple[bool, ...] | None = None

    @property
    def ids(self) -> list[list[str]]:
        """Names of the objects found, for each query."""
        return [[hit.id for hit in found] for found in self.rows]

    @property
    def scores(self) -> list[list[float]]:
        """Scores of the objects found, for each query."""
        return [[hit.score for hit in found] for found in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, query: int) -> tuple[Hit, ...]:
        return self.rows[query]

    def __iter__(self) -> Iterator[tuple[Hit, ...]]:
        return iter(self.rows)


def merged(parts: Sequence[Sequence[Hit]], k: int) -> list[Hit]:
    """The k best of several lists, each best first; equal scores in the order of the lists."""
    return sorted((hit for part in parts for hit in part), key=lambda hit: -hit.score)[:k]
