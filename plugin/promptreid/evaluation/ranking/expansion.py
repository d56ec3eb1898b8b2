"""Average query expansion: a query is replaced by the mean of itself and its nearest gallery features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from promptreid.evaluation.features import Array, as_tensor
from promptreid.evaluation.ranking.distances import FeatureDistances
from promptreid.evaluation.ranking.nearest import topk

_CHUNK = 1024


@dataclass(frozen=True)
class QueryExpansion:
    """AQE (Chum et al., ICCV 2007), and with ``alpha`` above 0 its weighted form (Radenovic et al., TPAMI 2019).

    Only queries are expanded, and only by gallery images; whose they are and which camera took them is not asked.

    Args:
        k: gallery features per query; a smaller gallery is taken whole.
        alpha: the weight of a feature is its cosine to the query, to this power; negative cosines weigh nothing. 0
            weighs all alike. The query itself weighs 1.

    Raises:
        ValueError: a parameter out of range.
    """

    k: int = 5
    alpha: float = 0.0

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k: {self.k} is below 1")
        if not 0 <= self.alpha < float("inf"):
            raise ValueError(f"alpha: {self.alpha} is not a number from 0 on")

    @property
    def name(self) -> str:
        """What is printed behind the protocol's name."""
        return f"AQE({self.k},{self.alpha:g})" if self.alpha else f"AQE({self.k})"

    def expand(self, query: Array, gallery: Array) -> tuple[torch.Tensor, torch.Tensor]:
        """Expanded queries and the gallery, both of unit length.

        Args:
            query: (Q, D) floats.
            gallery: (G, D) floats.

        Raises:
            ValueError: features that cannot be compared; the message names the argument.
        """
        FeatureDistances(query, gallery, "cosine")  # raises before anything is averaged
        queries, items = F.normalize(as_tensor(query).float()), F.normalize(as_tensor(gallery).float())
        distances, indices = topk(queries, items, min(self.k, len(items)), "cosine")
        weights = (1 - distances).clamp(min=0) ** self.alpha if self.alpha else torch.ones_like(distances)
        for rows in torch.arange(len(queries), device=queries.device).split(_CHUNK):
            queries[rows] += torch.einsum("qk,qkd->qd", weights[rows], items[indices[rows]])
        return F.normalize(queries), items
