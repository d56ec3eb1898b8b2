"""The other direction of a cross-modal test, from the features of the first one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from promptreid.evaluation.features import Array, FeatureSet
from promptreid.evaluation.protocols.base import Protocol
from promptreid.evaluation.ranking.rank_lists import RankLists
from promptreid.evaluation.results import Results
from promptreid.evaluation.statistics.precision_recall import PrecisionRecall
from promptreid.evaluation.statistics.verification import Verification


class Swapped:
    """A protocol whose queries are the gallery of the data set, and whose gallery is its queries.

    It suits data sets in which both lists hold all test images of their modality: with features extracted once per
    image, the second direction costs one more ranking.

    Args:
        protocol: what to evaluate after the exchange.

    Attributes:
        name: the protocol's own.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.name = protocol.name

    def check(self, query: FeatureSet, gallery: FeatureSet) -> None:
        """As :meth:`Protocol.check`, with ``query`` as the gallery pool and ``gallery`` as the queries."""
        self.protocol.check(gallery, query)

    def trial_sets(self, query: FeatureSet, gallery: FeatureSet) -> Iterator[tuple[FeatureSet, FeatureSet]]:
        """As :meth:`Protocol.trial_sets`, with ``query`` as the gallery pool and ``gallery`` as the queries."""
        return self.protocol.trial_sets(gallery, query)

    def evaluate(
        self, query: FeatureSet, gallery: FeatureSet, metric: str = "euclidean", **refinements: Any
    ) -> Results:
        """As :meth:`Protocol.evaluate`, with ``query`` as the gallery pool and ``gallery`` as the queries."""
        return self.protocol.evaluate(gallery, query, metric, **refinements)

    def verify(self, query: FeatureSet, gallery: FeatureSet, metric: str = "euclidean", **options: Any) -> Verification:
        """As :meth:`Protocol.verify`, with ``query`` as the gallery pool and ``gallery`` as the queries."""
        return self.protocol.verify(gallery, query, metric, **options)

    def rank_lists(
        self, query: FeatureSet, gallery: FeatureSet, k: int, metric: str = "euclidean", **refinements: Any
    ) -> RankLists:
        """As :meth:`Protocol.rank_lists`, with ``query`` as the gallery pool and ``gallery`` as the queries."""
        return self.protocol.rank_lists(gallery, query, k, metric, **refinements)

    def precision_recall(
        self, query: FeatureSet, gallery: FeatureSet, metric: str = "euclidean", **options: Any
    ) -> PrecisionRecall:
        """As :meth:`Protocol.precision_recall`, with ``query`` as the gallery pool and ``gallery`` as the queries."""
        return self.protocol.precision_recall(gallery, query, metric, **options)

    def evaluate_distances(self, distances: Array, query: FeatureSet, gallery: FeatureSet) -> Results:
        """As :meth:`Protocol.evaluate_distances`; ``distances`` stay those of the data set, (query, gallery)."""
        return self.protocol.evaluate_distances(distances.T, gallery, query)


def both_directions(protocol: Callable[[str], Protocol], direction: str) -> tuple[Protocol, Swapped]:
    """The protocols of a data set whose queries and gallery have the modalities that ``direction`` names.

    Args:
        protocol: makes the protocol of a direction.
        direction: ``"visible-infrared"`` or ``"infrared-visible"``, query modality first.

    Returns:
        the protocol of ``direction`` itself, then that of the opposite direction.
    """
    opposite = "-".join(reversed(direction.split("-")))
    return protocol(direction), Swapped(protocol(opposite))
