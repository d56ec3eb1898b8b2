"""k-reciprocal re-ranking of the results of a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from promptreid.evaluation.ranking.reranking import KReciprocal
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embeddings import compared
from promptreid.retrieval.gallery.hits import Hit
from promptreid.retrieval.gallery.plan import common_bands, store_key
from promptreid.retrieval.gallery.rows import Bands


class HasVectors(Protocol):
    """A gallery whose vectors can be looked at."""

    def compared(self, hits: Sequence[Hit], bands: Bands) -> np.ndarray:
        """The vectors (n, d) of what was found, as they are compared on these bands."""
        ...


def reranked(
    model: ModelDescription, gallery: HasVectors, query: np.ndarray, bands: Bands, hits: Sequence[Hit]
) -> list[Hit]:
    """What a query has found in the order of re-ranked distances, each depending on all of it.

    All are compared on the bands that the query and all of them share.

    Args:
        model: whose vectors they are.
        gallery: where they were found.
        query: (D,) its vector.
        bands: of the query.
        hits: the candidates.

    Returns:
        the candidates; a score is one minus the re-ranked distance.

    Raises:
        ValueError: no band is common to all.
    """
    if not hits:
        return []
    common = store_key(model, common_bands(model, bands, [hit.bands for hit in hits]))
    own = compared(query[None], model, common)
    distances = KReciprocal().distances(
        own, gallery.compared(hits, common), "cosine" if model.by_cosine else "euclidean"
    )
    scores = 1 - distances.rows(torch.tensor([0]))[0].numpy()
    order = np.argsort(-scores, kind="stable")
    return [hits[place]._replace(score=float(scores[place])) for place in order.tolist()]
