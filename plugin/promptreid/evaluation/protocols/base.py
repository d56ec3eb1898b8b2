"""Base class of protocols: a name, gallery draws, a filter rule and a CMC level."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from promptreid.evaluation.features import Array, FeatureSet, left_out_note
from promptreid.evaluation.ranking.distances import (
    DistanceMatrix,
    DistanceRows,
    FeatureDistances,
    GivenDistances,
    QueryRows,
)
from promptreid.evaluation.ranking.exact import Ranks, rank_subsets
from promptreid.evaluation.ranking.expansion import QueryExpansion
from promptreid.evaluation.ranking.rank_lists import RankLists, nearest_visible
from promptreid.evaluation.ranking.reranking import KReciprocal
from promptreid.evaluation.results import Results, full_name
from promptreid.evaluation.statistics.precision_recall import PrecisionRecall, precision_recall
from promptreid.evaluation.statistics.verification import FPRS, Verification, roc

DIRECTIONS = ("visible-infrared", "infrared-visible")
"""Query modality first."""
_PAIRS = 1 << 24


class Protocol:
    """Test protocol: the images of the gallery, the images excluded for a query, and the counting of ranks.

    The gallery handed in is always the pool of all candidate images, with features extracted once; a trial is a set of
    indices into it.

    Attributes:
        name: unique and printed with every result.
        rule: filter rule, see :data:`promptreid.evaluation.ranking.exact.RULES`.
        level: CMC level, see :data:`promptreid.evaluation.ranking.exact.LEVELS`.
    """

    name: str
    rule: str = "camera"
    level: ClassVar[str] = "image"

    def trials(self, gallery: FeatureSet) -> list[np.ndarray]:
        """Pool indices of each gallery, in ranking-tie order: the whole pool once, unless the protocol draws."""
        return [np.arange(len(gallery))]

    def trial_sets(self, query: FeatureSet, gallery: FeatureSet) -> Iterator[tuple[FeatureSet, FeatureSet]]:
        """Queries and gallery of each trial, with the features that the two sets have."""
        seekers = query if query.left_out is None else query.select(query.used())
        for subset in self.trials(gallery):
            yield seekers, gallery.select(gallery.used(subset))

    def evaluate(
        self,
        query: FeatureSet,
        gallery: FeatureSet,
        metric: str = "euclidean",
        *,
        aqe: QueryExpansion | None = None,
        rerank: KReciprocal | None = None,
    ) -> Results:
        """Rank by the distance of the features.

        Args:
            query: features and labels of the queries.
            gallery: features and labels of the whole pool.
            metric: ``"euclidean"`` (squared) or ``"cosine"``.
            aqe, rerank: refinements, each trial's from its own queries and gallery; the name of the results tells them.

        Raises:
            ValueError: features are missing or not finite, or the labels do not fit the protocol.
        """
        query_features, gallery_features = self._features(query), self._features(gallery)
        if aqe is None and rerank is None:
            return self._results(FeatureDistances(query_features, gallery_features, metric), query, gallery)
        self._check(query, gallery)
        ranks = [
            rank_subsets(distances, self._labels(q), self._labels(g), rule=self.rule, level=self.level)[0]
            for distances, q, g in self._refined(query, gallery, metric, aqe, rerank)
        ]
        return Results.of(self.name, ranks, self._notes(query, gallery), method=method_name(aqe, rerank))

    def evaluate_distances(self, distances: Array, query: FeatureSet, gallery: FeatureSet) -> Results:
        """Rank by a given (query, pool) matrix in which smaller is nearer; the sets need no features."""
        return self._results(GivenDistances(distances), query, gallery)

    def verify(
        self,
        query: FeatureSet,
        gallery: FeatureSet,
        metric: str = "euclidean",
        *,
        fprs: Sequence[float] = FPRS,
        aqe: QueryExpansion | None = None,
        rerank: KReciprocal | None = None,
    ) -> Verification:
        """True positive rates over all pairs that the protocol compares, mean over its trials; as :meth:`evaluate`."""
        self._check(query, gallery)
        trials = [
            roc(distances, self._labels(q), self._labels(g), rule=self.rule, fprs=fprs)
            for distances, q, g in self._refined(query, gallery, metric, aqe, rerank)
        ]
        return Verification.mean(full_name(self.name, method_name(aqe, rerank)), trials)

    def rank_lists(
        self,
        query: FeatureSet,
        gallery: FeatureSet,
        k: int,
        metric: str = "euclidean",
        *,
        aqe: QueryExpansion | None = None,
        rerank: KReciprocal | None = None,
        queries: np.ndarray | None = None,
    ) -> RankLists:
        """The ``k`` nearest images that each query of the first trial sees; as :meth:`evaluate`.

        Args:
            query, gallery, k, metric, aqe, rerank: see above.
            queries: rows of that trial's queries, whose lists alone are made; all, when None.
        """
        self._check(query, gallery)
        distances, q, g = next(self._refined(query, gallery, metric, aqe, rerank))
        if queries is not None:
            distances, q = QueryRows(distances, queries), q.select(queries)
        columns = nearest_visible(distances, self._labels(q), self._labels(g), k, self.rule)
        return RankLists(q, g, columns, self.level)

    def precision_recall(
        self,
        query: FeatureSet,
        gallery: FeatureSet,
        metric: str = "euclidean",
        *,
        aqe: QueryExpansion | None = None,
        rerank: KReciprocal | None = None,
        pairs: int = _PAIRS,
    ) -> PrecisionRecall:
        """The curve over the pairs that the first trial compares; as :meth:`evaluate`.

        Args:
            query, gallery, metric, aqe, rerank: see there.
            pairs: where the trial has more, evenly spaced queries stand for all of them.
        """
        self._check(query, gallery)
        distances, q, g = next(self._refined(query, gallery, metric, aqe, rerank))
        count = max(1, pairs // max(1, len(g)))
        if count < len(q):
            rows = np.linspace(0, len(q) - 1, count).astype(np.int64)
            distances, q = QueryRows(distances, rows), q.select(rows)
        return precision_recall(distances, self._labels(q), self._labels(g), rule=self.rule)

    def rank(self, distances: DistanceMatrix, query: FeatureSet, gallery: FeatureSet) -> list[Ranks]:
        """The outcome of every query in every trial.

        Raises:
            ValueError: the labels do not fit the protocol.
        """
        self._check(query, gallery)
        return self._rank(distances, query, gallery)

    def check(self, query: FeatureSet, gallery: FeatureSet) -> None:
        """Refuse labels that this protocol can't be tested with, before there are features.

        Args:
            query: labels of the queries; no features are needed.
            gallery: those of the whole pool.

        Raises:
            ValueError: labels that do not fit the protocol, or no query with a match that it may see.
        """
        self._check(query, gallery)
        seekers, pool = self._labels(query), self._labels(gallery)
        places: dict[int, set[int]] = defaultdict(set)
        for pid, place in zip(pool.pids.tolist(), pool.camids.tolist(), strict=True):
            places[pid].add(place)
        own = seekers.camids.tolist() if self.rule != "none" else [None] * len(seekers)
        if not any(places[pid] - {place} for pid, place in zip(seekers.pids.tolist(), own, strict=True)):
            raise ValueError(f"{self.name}: none of the {len(query)} queries has a match that it may see")

    def _rank(self, distances: DistanceMatrix, query: FeatureSet, gallery: FeatureSet) -> list[Ranks]:
        labels = self._labels(query), self._labels(gallery)
        subsets = [gallery.used(drawn) for drawn in self.trials(gallery)]
        ranks = rank_subsets(distances, *labels, rule=self.rule, level=self.level, subsets=subsets)
        return ranks if query.left_out is None else [trial.select(query.used()) for trial in ranks]

    def _results(self, distances: DistanceMatrix, query: FeatureSet, gallery: FeatureSet) -> Results:
        return Results.of(self.name, self.rank(distances, query, gallery), self._notes(query, gallery))

    def _refined(
        self,
        query: FeatureSet,
        gallery: FeatureSet,
        metric: str,
        aqe: QueryExpansion | None,
        rerank: KReciprocal | None,
    ) -> Iterator[tuple[DistanceRows, FeatureSet, FeatureSet]]:
        """Distances, queries and gallery of each trial."""
        for q, g in self.trial_sets(query, gallery):
            features = self._features(q), self._features(g)
            if aqe is not None:
                features = aqe.expand(*features)
            make = FeatureDistances if rerank is None else rerank.distances
            yield make(*features, metric), q, g

    def _features(self, images: FeatureSet) -> Array:
        if images.features is None:
            raise ValueError(f"{self.name}: features are missing; evaluate_distances takes a distance matrix instead")
        return images.features

    def _labels(self, images: FeatureSet) -> FeatureSet:
        """The labels that the filter rule compares."""
        return images

    def _check(self, query: FeatureSet, gallery: FeatureSet) -> None:
        """Raise ``ValueError`` where the labels do not fit the protocol."""

    def _notes(self, query: FeatureSet, gallery: FeatureSet) -> str:
        return "; ".join(filter(None, (self._note(gallery), left_out_note(query, gallery))))

    def _note(self, gallery: FeatureSet) -> str:
        """What a reader of the numbers should know."""
        return ""


def method_name(aqe: QueryExpansion | None, rerank: KReciprocal | None) -> str:
    """What was done on top of plain distances, in order; empty where nothing was."""
    return " + ".join(step.name for step in (aqe, rerank) if step is not None)


def check_cameras(what: str, images: FeatureSet, allowed: range | tuple[int, ...], meaning: str) -> None:
    """Raise ``ValueError`` when a camera is not among ``allowed``, naming the first stranger."""
    strangers = np.setdiff1d(images.camids, allowed)
    if len(strangers):
        raise ValueError(f"{what}: camid {strangers[0]} is not {meaning} (0-based {list(allowed)})")


def check_choice(argument: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise ``ValueError`` naming the argument unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{argument}: {value!r} is not one of {choices}")
