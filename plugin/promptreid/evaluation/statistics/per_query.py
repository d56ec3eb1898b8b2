"""The outcome of every single query as a table that can be saved, loaded and compared with another run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.parquet_files import parquet_columns
from promptreid.evaluation.protocols.base import Protocol
from promptreid.evaluation.protocols.swapped import Swapped
from promptreid.evaluation.results import Results
from promptreid.evaluation.tables import Columns, load_table, save_table

COLUMNS = {
    "protocol": str,
    "method": str,
    "trial": int,
    "query": str,
    "pid": int,
    "camid": int,
    "first": int,
    "AP": float,
    "INP": float,
    "matches": int,
}
"""Names and types; ``first`` is the rank of the first match from 1, 0 (and AP, INP ``nan``) without a match."""


@dataclass(frozen=True, eq=False)
class PerQuery:
    """One row per protocol, trial and query.

    Attributes:
        columns: the arrays of :data:`COLUMNS`, all of one length.
    """

    columns: Columns

    @classmethod
    def of(cls, result: Results, protocol: Protocol | Swapped, query: FeatureSet, gallery: FeatureSet) -> PerQuery:
        """The rows of a result.

        Args:
            result: what ``protocol.evaluate(query, gallery)`` gave back.
            protocol: the same as there.
            query, gallery: the same as there. Without ``names`` the queries are called by their numbers.
        """
        sides = (_named(images) for images in (query, gallery))
        trials = zip(protocol.trial_sets(*sides), result.ranks, strict=True)
        parts = [
            {
                "protocol": np.full(len(queries), protocol.name),
                "method": np.full(len(queries), result.method),
                "trial": np.full(len(queries), number),
                "query": np.asarray(queries.names),
                "pid": queries.pids,
                "camid": queries.camids,
                "first": ranks.first,
                "AP": ranks.average_precision,
                "INP": ranks.inverse_penalty,
                "matches": ranks.num_matches,
            }
            for number, ((queries, _), ranks) in enumerate(trials)
        ]
        return cls(_join(parts))

    @classmethod
    def join(cls, tables: Sequence[PerQuery]) -> PerQuery:
        """The rows of all tables, at least one, after each other."""
        return cls(_join([table.columns for table in tables]))

    def save(self, path: str | Path) -> None:
        """Write a ``.csv`` or ``.parquet`` file; see :func:`promptreid.evaluation.tables.save_table`."""
        save_table(self.columns, path)

    @classmethod
    def load(cls, path: str | Path) -> PerQuery:
        """Read what :meth:`save` wrote; see :func:`promptreid.evaluation.tables.load_table`."""
        return cls(load_table(path, COLUMNS))

    def __len__(self) -> int:
        return len(self.columns["query"])

    def protocols(self) -> list[str]:
        """Names of the protocols, in the table's order."""
        return list(dict.fromkeys(self.columns["protocol"].tolist()))

    def select(self, protocol: str) -> PerQuery:
        """The rows of one protocol."""
        rows = self.columns["protocol"] == protocol
        return PerQuery({name: values[rows] for name, values in self.columns.items()})


def _named(images: FeatureSet) -> FeatureSet:
    names = np.arange(len(images)).astype(str) if images.names is None else images.names
    return replace(images, features=None, names=names)


def _join(parts: Sequence[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}


def is_table(path: str | Path) -> bool:
    """Whether a file is such a table, by its suffix or, of a Parquet file, by its columns."""
    path = Path(path)
    return path.suffix == ".csv" or (path.suffix == ".parquet" and path.is_file() and "AP" in parquet_columns(path))
