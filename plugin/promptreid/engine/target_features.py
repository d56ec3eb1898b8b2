"""The features of one target data set, and what its protocols make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from promptreid.engine.distributed.process_group import is_writer
from promptreid.engine.feature_extraction import same_left_out
from promptreid.engine.modality_sides import SPLITS, Extract, ModalitySides
from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.missing.across import AcrossModalities
from promptreid.evaluation.ranking.rank_lists import RankLists
from promptreid.evaluation.results import Results
from promptreid.evaluation.statistics.per_query import PerQuery
from promptreid.evaluation.statistics.precision_recall import PrecisionRecall


class TargetFeatures:
    """Queries and gallery of a target, extracted for a few protocols; ranked afterwards, by one process.

    Args:
        model: that is tested.
        loaders: of ``query`` and ``gallery``.
        normalize: scale features to unit length.
        extract: makes features, in all processes together.
        protocols: the only ones that may be asked for.
    """

    def __init__(
        self, model: Any, loaders: dict[str, Any], normalize: bool, extract: Extract, protocols: Sequence[Any]
    ) -> None:
        self.protocols = list(protocols)
        across = [protocol for protocol in protocols if isinstance(protocol, AcrossModalities)]
        self._plain: list[FeatureSet] = []
        if len(across) < len(protocols):
            query, gallery = (extract(loaders[split], normalize, split, None) for split in SPLITS)
            if is_writer():
                query, gallery = same_left_out(query, gallery, [loaders[split].dataset for split in SPLITS])
            self._plain = [query, gallery]
        self._sides: ModalitySides | None = None
        if across:
            self._sides = ModalitySides(model, loaders, normalize, extract)
            for protocol in across:
                self._sides.extract(protocol.condition)

    def evaluate(self, **settings: Any) -> list[Results]:
        """The results of each protocol.

        Args:
            settings: further arguments of :meth:`promptreid.evaluation.protocols.Protocol.evaluate`.
        """
        return [self._evaluate(protocol, settings) for protocol in self.protocols]

    def _evaluate(self, protocol: Any, settings: dict[str, Any]) -> Results:
        if isinstance(protocol, AcrossModalities):
            assert self._sides is not None
            return self._sides.evaluate(protocol.protocol, protocol.condition, **settings)
        result: Results = protocol.evaluate(*self._plain, **settings)
        return result

    def left_out(self) -> list[str]:
        """Why images are left out, each once."""
        sides = [*self._plain, *(self._sides.extracted() if self._sides is not None else ())]
        reasons = (reason for side in sides if side.left_out is not None for reason in side.left_out if reason)
        return list(dict.fromkeys(reasons))

    def rank_lists(self, k: int, **settings: Any) -> RankLists:
        """The nearest ``k`` of each query under the first protocol; ``names`` are ``"query 0"``, ``"gallery 7"``, ...

        The numbers are those of the samples in the data set's two lists.
        """
        rule, query, gallery = self._named(self.protocols[0])
        lists: RankLists = rule.rank_lists(query, gallery, k, **settings)
        return lists

    def per_query(self, **settings: Any) -> PerQuery:
        """The outcome of every query under each protocol; names and arguments are those of :meth:`rank_lists`."""
        outcomes = zip(self.protocols, self.evaluate(**settings), strict=True)
        return PerQuery.join([PerQuery.of(result, *self._named(protocol)) for protocol, result in outcomes])

    def precision_recall(self, **settings: Any) -> PrecisionRecall:
        """The curve of the first protocol; see :meth:`promptreid.evaluation.protocols.Protocol.precision_recall`."""
        rule, query, gallery = self._named(self.protocols[0])
        curve: PrecisionRecall = rule.precision_recall(query, gallery, **settings)
        return curve

    def sides(self) -> tuple[FeatureSet, FeatureSet]:
        """Queries and gallery that the first protocol starts from, with ``names`` as in :meth:`rank_lists`."""
        return self._named(self.protocols[0])[1:]

    def _named(self, protocol: Any) -> tuple[Any, FeatureSet, FeatureSet]:
        """A protocol's rule, and queries and gallery by their numbers in the data set's two lists."""
        if isinstance(protocol, AcrossModalities):
            assert self._sides is not None
            query, gallery = (side.images for side in self._sides.sides(protocol.condition))
            protocol = protocol.protocol
        else:
            query, gallery = (replace(images, names=np.arange(len(images)).astype(str)) for images in self._plain)
        return protocol, _prefixed(SPLITS[0], query), _prefixed(SPLITS[1], gallery)


def _prefixed(split: str, images: FeatureSet) -> FeatureSet:
    assert images.names is not None
    return replace(images, names=np.array([f"{split} {number}" for number in images.names]))
