"""What every protocol has: a name, gallery draws, a filter rule and a CMC level."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from promptreid.evaluation.distances import DistanceRows, FeatureDistances, GivenDistances
from promptreid.evaluation.features import Array, FeatureSet
from promptreid.evaluation.ranking import Ranks, rank_subsets
from promptreid.evaluation.results import Results

DIRECTIONS = ("visible-infrared", "infrared-visible")
"""Query modality first."""


class Protocol:
    """A way to test: which images form the gallery, what a query may not see, how ranks are counted.

    The gallery handed in is always the pool of all candidate images, with features extracted once; a trial is a set of
    indices into it.

    Attributes:
        name: unique and printed with every result.
        rule: filter rule, see :data:`promptreid.evaluation.ranking.RULES`.
        level: CMC level, see :data:`promptreid.evaluation.ranking.LEVELS`.
    """

    name: str
    rule: str = "camera"
    level: ClassVar[str] = "image"

    def trials(self, gallery: FeatureSet) -> list[np.ndarray]:
        """Pool indices of each gallery, in ranking-tie order: the whole pool once, unless the protocol draws."""
        return [np.arange(len(gallery))]

    def evaluate(self, query: FeatureSet, gallery: FeatureSet, metric: str = "euclidean") -> Results:
        """Rank by the distance of the features.

        Args:
            query: features and labels of the queries.
            gallery: features and labels of the whole pool.
            metric: ``"euclidean"`` (squared) or ``"cosine"``.

        Raises:
            ValueError: features are missing or not finite, or the labels do not fit the protocol.
        """
        if query.features is None or gallery.features is None:
            raise ValueError(f"{self.name}: features are missing; evaluate_distances takes a distance matrix instead")
        return self._results(FeatureDistances(query.features, gallery.features, metric), query, gallery)

    def evaluate_distances(self, distances: Array, query: FeatureSet, gallery: FeatureSet) -> Results:
        """Rank by a given (query, pool) matrix in which smaller is nearer; the sets need no features."""
        return self._results(GivenDistances(distances), query, gallery)

    def rank(self, distances: DistanceRows, query: FeatureSet, gallery: FeatureSet) -> list[Ranks]:
        """The outcome of every query in every trial.

        Raises:
            ValueError: the labels do not fit the protocol.
        """
        self._check(query, gallery)
        return self._rank(distances, query, gallery)

    def _rank(self, distances: DistanceRows, query: FeatureSet, gallery: FeatureSet) -> list[Ranks]:
        labels = self._labels(query), self._labels(gallery)
        return rank_subsets(distances, *labels, rule=self.rule, level=self.level, subsets=self.trials(gallery))

    def _results(self, distances: DistanceRows, query: FeatureSet, gallery: FeatureSet) -> Results:
        return Results.of(self.name, self.rank(distances, query, gallery), self._note(gallery))

    def _labels(self, images: FeatureSet) -> FeatureSet:
        """The labels that the filter rule compares."""
        return images

    def _check(self, query: FeatureSet, gallery: FeatureSet) -> None:
        """Raise ``ValueError`` where the labels do not fit the protocol."""

    def _note(self, gallery: FeatureSet) -> str:
        """What a reader of the numbers should know."""
        return ""


def check_cameras(what: str, images: FeatureSet, allowed: range | tuple[int, ...], meaning: str) -> None:
    """Raise ``ValueError`` when a camera is not among ``allowed``, naming the first stranger."""
    strangers = np.setdiff1d(images.camids, allowed)
    if len(strangers):
        raise ValueError(f"{what}: camid {strangers[0]} is not {meaning} (0-based {list(allowed)})")


def check_choice(argument: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise ``ValueError`` naming the argument unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{argument}: {value!r} is not one of {choices}")
