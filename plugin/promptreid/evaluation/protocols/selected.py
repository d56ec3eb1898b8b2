"""A protocol on some of a data set's queries and gallery images, such as those of one modality each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from promptreid.evaluation.features import Array, FeatureSet
from promptreid.evaluation.protocols.base import Protocol
from promptreid.evaluation.protocols.swapped import Swapped
from promptreid.evaluation.results import Results
from promptreid.evaluation.statistics.verification import Verification


class Selected:
    """A protocol that sees some rows of the data set's queries and of its gallery.

    Args:
        protocol: what to evaluate on them.
        query_rows, gallery_rows: (N,) indices into the data set's queries and gallery, in their order.

    Attributes:
        name: the protocol's own.
    """

    def __init__(self, protocol: Protocol | Swapped, query_rows: np.ndarray, gallery_rows: np.ndarray) -> None:
        self.protocol, self.query_rows, self.gallery_rows = protocol, query_rows, gallery_rows
        self.name = protocol.name

    def check(self, query: FeatureSet, gallery: FeatureSet) -> None:
        """As :meth:`Protocol.check`, on these rows."""
        self.protocol.check(*self._rows(query, gallery))

    def trial_sets(self, query: FeatureSet, gallery: FeatureSet) -> Iterator[tuple[FeatureSet, FeatureSet]]:
        """As :meth:`Protocol.trial_sets`, on these rows."""
        return self.protocol.trial_sets(*self._rows(query, gallery))

    def evaluate(
        self, query: FeatureSet, gallery: FeatureSet, metric: str = "euclidean", **refinements: Any
    ) -> Results:
        """As :meth:`Protocol.evaluate`, on these rows."""
        return self.protocol.evaluate(*self._rows(query, gallery), metric, **refinements)

    def verify(self, query: FeatureSet, gallery: FeatureSet, metric: str = "euclidean", **options: Any) -> Verification:
        """As :meth:`Protocol.verify`, on these rows."""
        return self.protocol.verify(*self._rows(query, gallery), metric, **options)

    def evaluate_distances(self, distances: Array, query: FeatureSet, gallery: FeatureSet) -> Results:
        """As :meth:`Protocol.evaluate_distances`; ``distances`` are those of the whole data set, (query, gallery)."""
        rows = distances[self.query_rows][:, self.gallery_rows]
        return self.protocol.evaluate_distances(rows, *self._rows(query, gallery))

    def _rows(self, query: FeatureSet, gallery: FeatureSet) -> tuple[FeatureSet, FeatureSet]:
        return query.select(self.query_rows), gallery.select(self.gallery_rows)
