"""Gallery index: people or vehicles, searched by their vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from promptreid.retrieval.bands import band_of, short_names
from promptreid.retrieval.compression.compressor import Compressor
from promptreid.retrieval.description import ModelDescription, check_same_model
from promptreid.retrieval.embeddings import Embeddings, compared, patterns
from promptreid.retrieval.gallery import files, threshold
from promptreid.retrieval.gallery.hits import Hit, Hits, merged
from promptreid.retrieval.gallery.local import LocalGallery
from promptreid.retrieval.gallery.milvus import MilvusGallery
from promptreid.retrieval.gallery.plan import plan
from promptreid.retrieval.gallery.reranking import HasVectors, reranked
from promptreid.retrieval.gallery.rows import Bands, Filter, Rows, filter_of, rows_of
from promptreid.retrieval.gallery.threshold import Threshold


class Gallery(HasVectors, Protocol):
    """Place of the vectors: memory or Milvus."""

    recall: dict[Bands, float]

    def __len__(self) -> int: ...

    def patterns(self) -> list[Bands]:
        """Sets of bands of the objects."""
        ...

    def add(self, rows: Rows) -> None:
        """Append rows, all or none."""
        ...

    def remove(self, ids: Sequence[str]) -> None:
        """Remove objects, all or none."""
        ...

    def search(
        self, bands: Bands, among: Sequence[Bands], queries: np.ndarray, k: int, wanted: Filter, effort: int = 1
    ) -> list[list[Hit]]:
        """Find the k best objects for each query."""
        ...


class GalleryIndex:
    """Vectors of a gallery, searched exactly or approximately, in memory and a file or in Milvus.

    How objects are compared depends on the model's space (:attr:`ModelDescription.space`):

    - ``shared``: all with all.
    - ``parts``: on the bands that query and gallery object both have. For each set of bands on which something is
      compared, a store of the objects that have all of these bands is built at the first query that needs it.
    - ``whole``: a query with the objects of exactly its bands. The same object may be added once for each set of bands,
      under the same id.

    Scores are those of :func:`promptreid.retrieval.embeddings.scores`, of approximate kinds too, which may miss objects
    but score those that they find exactly. Without unit length, objects with parts are compared by the mean squared
    distance per band, so that comparisons on one band and on three rank together.

    Memory: the vectors, 4 * N * D bytes, and each store's own copy of the columns that it compares. A store of all
    bands doubles the vectors. With three bands and queries of every subset, each part is in four of the seven stores:
    five times the vectors in all. HNSW adds about 270 bytes a vector, IVF-PQ's copy is a sixteenth of the vectors.
    With a compressor, the codes stand for the vectors, and ``flat`` has no copy: it decodes them block by block.

    Attributes:
        model: whose vectors are in it; with a compressor, the description of the smaller ones.
        compressor: makes vectors smaller that are added or looked for; None where they stay as they are.
        kind: ``flat``, ``hnsw``, ``ivfpq`` or ``milvus``.
        threshold: the score from which a query counts as known; None until :meth:`calibrate`.

    Args:
        model: see above; of an :class:`~promptreid.retrieval.embedder.Embedder` ``model``.
        kind: ``flat`` is exact. ``hnsw`` is a graph: fast, large, and removed objects leave it on saving. ``ivfpq``
            compresses: small, and needs about 10 000 vectors to learn from.
        uri: of Milvus: a file ``gallery.db`` for Milvus Lite, or ``http://host:19530`` of a server or cluster.
        collection: in Milvus: what the names of its collections begin with.
        subsets: in Milvus, for models with a part for each band: the sets of bands that are compared, such as
            ``["RGB", "RGB+NIR"]``; all when None.
        token: in Milvus: ``user:password`` or an API key; never written to a file.
        compressor: see above; of compressed embeddings their ``compressor``. Milvus keeps float32.

    Raises:
        ValueError: an unknown kind, another model's compressor or none for compressed vectors, FAISS or pymilvus is
            missing, or Milvus cannot be reached or has another model's vectors.

    Examples:
        >>> index = promptreid.GalleryIndex(reid.model)
        >>> index.add(reid.embed(paths, band="visible"))
        >>> index.search(reid.embed(night, band="infrared"), k=5).ids
    """

    def __init__(
        self,
        model: ModelDescription,
        kind: str = "flat",
        *,
        uri: str | None = None,
        collection: str = "gallery",
        subsets: Iterable[str] | None = None,
        token: str = "",
        compressor: Compressor | None = None,
    ) -> None:
        model = _held_model(model, compressor)
        self.model, self.compressor = model, compressor
        self.threshold: Threshold | None = None
        self.gallery: Gallery
        if uri is None:
            self.kind = kind
            self.gallery = LocalGallery(model, kind, compressor)
        else:
            self.kind = "milvus"
            wanted = None if subsets is None else [_bands(model, names) for names in subsets]
            self.gallery = MilvusGallery(model, uri, collection, wanted, token)

    def __len__(self) -> int:
        """Number of objects; in memory, an object with several sets of bands counts once."""
        return len(self.gallery)

    @property
    def recall(self) -> dict[str, float]:
        """Of the stores of an approximate kind, by their bands, the recall@10 measured when they were built."""
        return {short_names(bands, self.model.modalities): value for bands, value in self.gallery.recall.items()}

    def add(
        self,
        embeddings: Embeddings,
        ids: Sequence[str] | np.ndarray | None = None,
        cameras: Sequence[int] | np.ndarray | None = None,
        times: Sequence[Any] | np.ndarray | None = None,
        paths: Sequence[str] | np.ndarray | None = None,
    ) -> None:
        """Add objects, all or none.

        Args:
            embeddings: their vectors.
            ids: a text for each that no other has; their names when None.
            cameras: a number for each; those of the embeddings when None.
            times: seconds or ``datetime`` for each; unknown when None.
            paths: of their images; their names when None.

        Raises:
            ValueError: another model's vectors, an id that is there already or twice, or lengths that differ.
        """
        self.gallery.add(rows_of(self._own(embeddings), self.model, ids, cameras, times, paths))

    def remove(self, ids: Sequence[str]) -> None:
        """Remove objects, with all their sets of bands.

        Raises:
            ValueError: an id is not there; nothing is removed then.
        """
        self.gallery.remove([ids] if isinstance(ids, str) else [str(name) for name in ids])

    def search(
        self,
        queries: Embeddings,
        k: int = 10,
        *,
        cameras: Sequence[int] | int | None = None,
        not_cameras: Sequence[int] | int | None = None,
        since: Any = None,
        until: Any = None,
        bands: Sequence[str] | str | None = None,
        rerank: int | None = None,
        effort: int = 1,
    ) -> Hits:
        """Find the k gallery objects that are most alike to each query.

        Args:
            queries: vectors of the same model.
            k: how many; fewer are found where filters leave no more.
            cameras: find objects of these alone.
            not_cameras: find none of these.
            since, until: find objects of these times alone, both ends included.
            bands: find objects alone that have all of these bands, such as ``"RGB+TIR"``.
            rerank: re-rank so many candidates by k-reciprocal neighbours among one another; scores are then one minus
                the re-ranked distance. Whether a query is known is still told by the plain scores.
            effort: how much of an approximate kind is looked at: 4 finds more than 1 and takes up to four times as
                long. Exact kinds ignore it.

        Raises:
            ValueError: another model's vectors, a query that no gallery object can be compared with, or a filter that
                cannot be used.
        """
        queries = self._own(queries)
        check_same_model(self.model, queries.model, "queries")
        if k < 1 or (rerank is not None and rerank < 1):
            raise ValueError(f"k {k} and rerank {rerank} must be at least 1")
        if effort < 1:
            raise ValueError(
                f"effort {effort} must be at least 1; more finds more of an approximate kind, and is slower"
            )
        wanted = filter_of(self.model, cameras, not_cameras, since, until, bands)
        there = self.gallery.patterns()
        most = max(k, rerank or 0)
        found: list[list[Hit]] = [[] for _ in range(len(queries))]
        for rows, own in patterns(queries.present):
            try:
                stores = plan(self.model, own, there)
            except ValueError as error:
                raise ValueError(f"query {queries.names[rows[0]]}: {error}") from None
            asked = [
                self.gallery.search(key, among, compared(queries.vectors[rows], self.model, key), most, wanted, effort)
                for key, among in stores.items()
            ]
            for place, row in enumerate(rows.tolist()):
                found[row] = merged([part[place] for part in asked], most)
        known = None if self.threshold is None else tuple(self._is_known(hits, self.threshold) for hits in found)
        if rerank is not None:
            pairs = zip(queries.vectors, map(tuple, queries.present.tolist()), found, strict=True)
            found = [reranked(self.model, self.gallery, vector, own, hits) for vector, own, hits in pairs]
        return Hits(tuple(map(str, queries.names)), tuple(tuple(hits[:k]) for hits in found), known)

    def calibrate(
        self,
        embeddings: Embeddings,
        identities: Sequence[object] | np.ndarray,
        far: float = 1e-3,
        *,
        gallery: Embeddings | None = None,
        gallery_identities: Sequence[object] | np.ndarray | None = None,
        other_cameras: bool = False,
    ) -> Threshold:
        """Set the threshold by which queries count as known; see :func:`threshold.calibrate`.

        Args:
            embeddings: vectors of people or vehicles that the model was not trained on.
            identities: who they are.
            far: false accept rate of a pair.
            gallery, gallery_identities: what they are compared with, where that is another modality.
            other_cameras: take pairs of different cameras alone.

        Raises:
            ValueError: another model's vectors, or a rate that so few pairs cannot tell.
        """
        embeddings = self._own(embeddings)
        gallery = None if gallery is None else self._own(gallery)
        check_same_model(self.model, embeddings.model, "calibrate")
        self.threshold = threshold.calibrate(embeddings, identities, far, gallery, gallery_identities, other_cameras)
        return self.threshold

    def save(self, path: str | Path) -> None:
        """Write the index; the file appears under its name when it is complete.

        Of Milvus, the address, the names and the threshold are written; the vectors stay there.

        Raises:
            ValueError: another suffix than ``.safetensors``, or too few vectors for IVF-PQ.
        """
        files.save(Path(path), self)

    @classmethod
    def load(cls, path: str | Path, *, token: str = "") -> GalleryIndex:
        """Read what :meth:`save` wrote.

        The stores of approximate kinds are read by FAISS, which checks little of what it reads. Their checksum finds
        damage, not malice: load indices of people whom you trust.

        Args:
            path: of the file.
            token: for Milvus.

        Raises:
            FileNotFoundError: no such file.
            ValueError: a broken file or another kind of file.
        """
        return files.load(Path(path), token)

    def close(self) -> None:
        """Close the connection to Milvus; no effect in memory."""
        close = getattr(self.gallery, "close", None)
        if close is not None:
            close()

    def _own(self, embeddings: Embeddings) -> Embeddings:
        """Embeddings as they are held: made smaller here where they are not yet."""
        if self.compressor is None or embeddings.model.compression:
            return embeddings
        return self.compressor.apply(embeddings)

    @staticmethod
    def _is_known(hits: Sequence[Hit], limit: Threshold) -> bool:
        return bool(hits) and hits[0].score >= limit.score


def _held_model(model: ModelDescription, compressor: Compressor | None) -> ModelDescription:
    if compressor is None:
        if model.compression:
            raise ValueError("compressor: these vectors are compressed; give the compressor of their embeddings")
        return model
    check_same_model(compressor.compressed if model.compression else compressor.model, model, "model")
    return compressor.compressed


def _bands(model: ModelDescription, names: str) -> Bands:
    asked = [band_of(name, model.modalities) for name in names.split("+")]
    return tuple(name in asked for name in model.modalities)
