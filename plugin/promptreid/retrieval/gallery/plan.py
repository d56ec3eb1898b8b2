"""Search plan: the gallery objects that a query is compared with, and the bands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embeddings import comparable
from promptreid.retrieval.gallery.rows import Bands


def plan(model: ModelDescription, query: Bands, gallery: Iterable[Bands]) -> dict[Bands, list[Bands]]:
    """The stores that a query is asked of, each with the sets of bands of the objects that it is compared with there.

    Args:
        model: whose vectors they are.
        query: bands of the query.
        gallery: the sets of bands that gallery objects have.

    Raises:
        ValueError: there is no object that the query can be compared with; the message says why, and the remedy.
    """
    found: dict[Bands, list[Bands]] = {}
    refused: list[tuple[int, ValueError]] = []
    for bands in sorted(gallery, reverse=True):
        try:
            common = comparable(model, query, bands)
        except ValueError as error:
            refused.append((sum(a and b for a, b in zip(query, bands, strict=True)), error))
            continue
        found.setdefault(store_key(model, common), []).append(bands)
    if not found:
        if not refused:
            raise ValueError("the gallery is empty: add vectors before the first search")
        raise max(refused, key=lambda entry: entry[0])[1]
    return found


def store_key(model: ModelDescription, bands: Bands) -> Bands:
    """The set of bands by which a store goes: all of them where they share one space."""
    return tuple(True for _ in bands) if model.space == "shared" else bands


def stores_of(model: ModelDescription, bands: Bands) -> list[Bands]:
    """The stores that an object of these bands belongs to: with a part for each band, those of all subsets."""
    if model.space != "parts":
        return [store_key(model, bands)]
    subsets = product(*((True, False) if there else (False,) for there in bands))
    return [subset for subset in subsets if any(subset)]


def common_bands(model: ModelDescription, query: Bands, found: Sequence[Bands]) -> Bands:
    """The bands that a query and all objects that it has found share.

    Raises:
        ValueError: there are none.
    """
    if model.space == "shared":
        return query
    common = tuple(all(column) for column in zip(query, *found, strict=True))
    if not any(common):
        raise ValueError(
            "re-ranking compares what was found with one another, and no band is common to all of it: search with "
            "bands=..., so that only objects with one common band are found"
        )
    return common
