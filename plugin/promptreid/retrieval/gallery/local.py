"""A gallery in this process's memory."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from promptreid.retrieval.bands import short_names
from promptreid.retrieval.compression.compressor import Compressor
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embeddings import compared, parts_in
from promptreid.retrieval.gallery import stores
from promptreid.retrieval.gallery.hits import Hit
from promptreid.retrieval.gallery.plan import store_key, stores_of
from promptreid.retrieval.gallery.rows import Bands, Filter, Rows, no_rows

logger = logging.getLogger(__name__)
_FEW = 0.1
"""A filter that leaves a smaller share of an approximate store is searched exactly, which is faster and finds all."""
_LOW, _MORE_EFFORT = 0.9, 8
"""Below this recall@10 a store tells when it is built what so much more effort finds."""


@dataclass
class Held:
    """The rows of the gallery that are compared, (n,) ascending, and their store; none where codes are decoded."""

    store: stores.Store | None
    members: np.ndarray


class LocalGallery:
    """Rows, and stores of them by the bands on which they are compared.

    Attributes:
        rows: all that were added and not removed for good.
        recall: of each approximate store, its recall@10 against the exact search when it was built.

    Args:
        model: whose vectors they are.
        kind: one of :data:`stores.KINDS`.
        compressor: of the vectors, whose codes alone are kept then, and decoded block by block when they are compared.
    """

    rows: Rows
    alive: np.ndarray
    _codes: np.ndarray

    def __init__(self, model: ModelDescription, kind: str, compressor: Compressor | None = None) -> None:
        if kind not in stores.KINDS:
            raise ValueError(f"kind: {kind!r} is none of {', '.join(stores.KINDS)}")
        if kind != "flat":
            stores.need_faiss(kind)
        self.model, self.kind, self.compressor = model, kind, compressor
        self.held: dict[Bands, Held] = {}
        self.recall: dict[Bands, float] = {}
        self._take(self._coded(no_rows(model)))

    def __len__(self) -> int:
        return len(self._places)

    def patterns(self) -> list[Bands]:
        """The sets of bands that objects have."""
        return [bands for bands, count in self._patterns.items() if count]

    def add(self, rows: Rows) -> None:
        """Append rows.

        Raises:
            ValueError: an id is there already; nothing is added then.
        """
        own = self._codes_of(rows.present)
        for name, code in zip(rows.ids.tolist(), own.tolist(), strict=True):
            there = self._places.get(name, ())
            if there and (self.model.space != "whole" or code in self._codes[list(there)]):
                raise ValueError(f"ids: {name!r} is in the gallery already; remove it first, or choose another id")
        first = len(self.rows)
        self.rows = self.rows.followed_by(self._coded(rows))
        self._codes = np.concatenate([self._codes, own])
        self.alive = np.concatenate([self.alive, np.ones(len(rows), dtype=bool)])
        self._register(np.arange(first, len(self.rows)))
        for bands, held in self.held.items():
            new = first + np.flatnonzero(self._belongs(bands, rows.present))
            if len(new):
                if held.store is not None:
                    held.store.add(self._compared(new, bands))
                held.members = np.concatenate([held.members, new])

    def remove(self, ids: Collection[str]) -> None:
        """Remove objects: searches skip their rows at once; saving, or more than half removed, drops the rows.

        Raises:
            ValueError: an id is not there; nothing is removed then.
        """
        missing = [name for name in ids if name not in self._places]
        if missing:
            raise ValueError(f"ids: {missing[0]!r} is not in the gallery")
        for name in dict.fromkeys(ids):
            for row in self._places.pop(name):
                self.alive[row] = False
                self._patterns[tuple(self.rows.present[row].tolist())] -= 1
        if self.alive.sum() < len(self.alive) / 2:
            self.compact()

    def compact(self) -> None:
        """Drop removed rows; stores are built again when they are needed."""
        if not self.alive.all():
            self.held.clear()
            self.recall.clear()
            self._take(self.rows[self.alive])

    def build(self) -> None:
        """Build the approximate stores of all sets of bands that objects have."""
        if self.kind != "flat":
            for bands in {store_key(self.model, bands) for bands in self.patterns()}:
                self._store(bands)

    def search(
        self, bands: Bands, among: Sequence[Bands], queries: np.ndarray, k: int, wanted: Filter, effort: int = 1
    ) -> list[list[Hit]]:
        """The k best objects for each query, equal scores in the order of their rows.

        Args:
            bands: the store.
            among: the sets of bands of the objects that may be found.
            queries: (Q, d) as :func:`~promptreid.retrieval.embeddings.compared` gives them for ``bands``.
            k: at least 1.
            wanted: see :class:`~promptreid.retrieval.gallery.rows.Filter`.
            effort: see :meth:`stores.Store.search`.
        """
        held = self._store(bands)
        codes = self._codes_of(np.array(among, dtype=bool))
        kept = self.alive & np.isin(self._codes, codes) & wanted.mask(self.rows)
        allowed = kept[held.members]
        if not allowed.any():
            return [[] for _ in queries]
        scores, places = self._found(held, bands, queries, min(k, int(allowed.sum())), allowed, effort)
        rows = held.members[places]
        order = np.lexsort((rows, -scores), axis=1)
        scores = np.take_along_axis(scores, order, 1) / (1 if self.model.by_cosine else parts_in(self.model, bands))
        return [self._hits(*pair) for pair in zip(np.take_along_axis(rows, order, 1), scores, strict=True)]

    def compared(self, hits: Sequence[Hit], bands: Bands) -> np.ndarray:
        """The vectors (n, d) of what was found, as they are compared on these bands."""
        rows = [
            next(r for r in self._places[hit.id] if tuple(self.rows.present[r].tolist()) == hit.bands) for hit in hits
        ]
        return self._compared(np.array(rows), bands)

    def _found(
        self, held: Held, bands: Bands, queries: np.ndarray, k: int, allowed: np.ndarray, effort: int
    ) -> stores.Found:
        by_cosine = self.model.by_cosine
        if held.store is None:
            return self._exactly(held, bands, queries, k, allowed)
        flat = self.kind == "flat" or (isinstance(held.store, stores.FaissStore) and held.store.kind == "flat")
        if flat:
            return held.store.search(queries, k, allowed)
        if allowed.mean() < _FEW:
            return self._exactly(held, bands, queries, k, allowed)
        candidates = held.store.search(queries, k, allowed, effort)
        found = stores.refined(
            candidates, queries, lambda rows: self._compared(held.members[rows], bands), k, by_cosine
        )
        short = np.flatnonzero((found[1] < 0).any(1))
        if len(short):
            better = self._exactly(held, bands, queries[short], k, allowed)
            for part, own in zip(found, better, strict=True):
                part[short] = own
        return found

    def _exactly(self, held: Held, bands: Bands, queries: np.ndarray, k: int, allowed: np.ndarray) -> stores.Found:
        places = np.flatnonzero(allowed)
        vectors = _Lazy(self, held.members[places], bands)
        scores, rows = stores.nearest(queries, vectors, k, self.model.by_cosine)
        return scores, places[rows]

    def _hits(self, rows: np.ndarray, scores: np.ndarray) -> list[Hit]:
        own = self.rows
        return [
            Hit(
                own.ids[row],
                score,
                own.paths[row],
                int(own.cameras[row]),
                float(own.times[row]),
                tuple(own.present[row].tolist()),
            )
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def _store(self, bands: Bands) -> Held:
        if bands not in self.held:
            members = np.flatnonzero(self._belongs(bands, self.rows.present))
            kind = self.kind
            if kind == "ivfpq" and len(members) < stores.LEAST_IVFPQ <= len(self.rows):
                kind = "flat"  # the few objects with a rare set of bands
            if kind == "flat" and self.compressor is not None:
                self.held[bands] = Held(None, members)
                return self.held[bands]
            vectors = self._compared(members, bands)
            self.held[bands] = Held(stores.build(vectors, self.model.by_cosine, kind), members)
            self._measure(bands, vectors)
        return self.held[bands]

    def _measure(self, bands: Bands, vectors: np.ndarray) -> None:
        store = self.held[bands].store
        if self.kind == "flat" or store is None:
            return
        found = self.recall[bands] = stores.recall_of(store, vectors)
        more = ""
        if found < _LOW:
            more = f"; with effort={_MORE_EFFORT} {stores.recall_of(store, vectors, _MORE_EFFORT):.3f}"
        logger.info(
            "%s of %d vectors (%s): recall@10 %.3f against the exact search, on its own vectors%s",
            self.kind, len(vectors), short_names(bands, self.model.modalities), found, more,
        )  # fmt: skip

    def _compared(self, rows: np.ndarray, bands: Bands) -> np.ndarray:
        vectors = self.rows.vectors[rows]
        if self.compressor is not None:
            vectors = self.compressor.decode(vectors, self.rows.present[rows])
        return compared(vectors, self.model, bands)

    def _coded(self, rows: Rows) -> Rows:
        return rows if self.compressor is None else replace(rows, vectors=self.compressor.encode(rows.vectors))

    def _belongs(self, bands: Bands, present: np.ndarray) -> np.ndarray:
        """(N,) bool: which objects a store holds."""
        every, codes = {tuple(row) for row in np.unique(present, axis=0).tolist()}, self._codes_of(present)
        mine = [own for own in every if bands in stores_of(self.model, own)]
        return np.isin(codes, self._codes_of(np.array(mine, dtype=bool).reshape(-1, present.shape[1])))

    def _codes_of(self, present: np.ndarray) -> np.ndarray:
        """(N,) each set of bands as a number."""
        return np.asarray(present.astype(np.int64) @ (1 << np.arange(present.shape[1], dtype=np.int64)))

    def _take(self, rows: Rows) -> None:
        self.rows, self.alive = rows, np.ones(len(rows), dtype=bool)
        self._codes = self._codes_of(rows.present)
        self._places: dict[str, tuple[int, ...]] = {}
        self._patterns: Counter[Bands] = Counter()
        self._register(np.arange(len(rows)))

    def _register(self, numbers: np.ndarray) -> None:
        for row in numbers.tolist():
            name = self.rows.ids[row]
            self._places[name] = (*self._places.get(name, ()), row)
        self._patterns.update(map(tuple, self.rows.present[numbers].tolist()))

    def restore(self, rows: Rows, held: dict[Bands, stores.Store], recall: dict[Bands, float]) -> None:
        """Restore the gallery of a file.

        Raises:
            ValueError: a store does not fit the rows.
        """
        self._take(rows)
        for bands, store in held.items():
            members = np.flatnonzero(self._belongs(bands, rows.present))
            width = self._compared(members[:1], bands).shape[1]
            if len(store) != len(members) or store.width != width:
                raise ValueError(f"the index of {short_names(bands, self.model.modalities)} does not fit the vectors")
            self.held[bands] = Held(store, members)
        self.recall = recall


class _Lazy:
    """Vectors as they are compared, made when a block of them is asked for."""

    def __init__(self, gallery: LocalGallery, rows: np.ndarray, bands: Bands) -> None:
        self._gallery, self._rows, self._bands = gallery, rows, bands

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, block: slice) -> np.ndarray:
        return self._gallery._compared(self._rows[block], self._bands)
