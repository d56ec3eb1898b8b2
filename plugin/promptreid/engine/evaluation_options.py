"""How a model's descriptors are made and compared in a test."""

from __future__ import annotations

from dataclasses import dataclass

from promptreid.evaluation.ranking.reranking import ORIGINALS, KReciprocal


@dataclass(frozen=True)
class EvaluationOptions:
    """What torchreid's arguments of a test leave out.

    Attributes:
        flip: a descriptor is the mean of those of a sample and of its mirror image, before it is normalised.
        rerank_distances: what re-ranking does to the original distances, one of
            :data:`promptreid.evaluation.ranking.reranking.ORIGINALS`.
    """

    flip: bool = False
    rerank_distances: str = ORIGINALS[0]

    def reranking(self, wanted: object) -> KReciprocal | None:
        """k-reciprocal re-ranking with the paper's parameters, where it is wanted."""
        return KReciprocal(original=self.rerank_distances) if wanted else None
