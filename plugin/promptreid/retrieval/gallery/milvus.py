"""A gallery in Milvus: a server, a cluster, or a file of Milvus Lite."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

import numpy as np

from promptreid.retrieval.bands import short_names
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embeddings import compared, parts_in
from promptreid.retrieval.gallery.hits import Hit
from promptreid.retrieval.gallery.plan import store_key, stores_of
from promptreid.retrieval.gallery.rows import Bands, Filter, Rows

_CHUNK = 1000
_MOST_BYTES = 1024
"""Of an id or a path in UTF-8."""
_NO_TIME = -1e300
_MODEL = "promptreid.model"
_FIELDS = ["id", "camera", "time", "present", "path"]
_CONNECT, _PATIENCE = 5.0, 60.0  # seconds


class MilvusGallery:
    """Collections ``NAME_110``, one for each set of bands on which vectors are compared, here the first two of three.

    Each has the vectors as they are compared, under an exact index (FLAT), and the scalar fields id, camera, time,
    present (the object's bands as bits, the first band's the lowest) and path.

    Attributes:
        recall: empty; the search is exact.

    Args:
        model: whose vectors they are.
        uri: of the server, or a file that ends in ``.db``.
        collection: what the collections' names begin with.
        subsets: the sets of bands for which there are collections; all when None.
        token: ``user:password`` or an API key.

    Raises:
        ValueError: pymilvus is missing, nobody answers, or a collection has another model's vectors.
    """

    def __init__(
        self, model: ModelDescription, uri: str, collection: str, subsets: Sequence[Bands] | None, token: str = ""
    ) -> None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", collection):
            raise ValueError(f"collection: {collection!r} has to be of letters, digits and _, and begin with no digit")
        self.model, self.uri, self.collection, self.subsets = model, uri, collection, subsets
        self.recall: dict[Bands, float] = {}
        self._pymilvus = _import()
        self._client = _connected(self._pymilvus, uri, token)
        try:
            self._known = self._own_collections()
        except ValueError:
            self.close()
            raise

    def address(self) -> dict[str, Any]:
        """Address of the collections, without secrets."""
        subsets = (
            None if self.subsets is None else [short_names(bands, self.model.modalities) for bands in self.subsets]
        )
        uri = re.sub(r"//[^/@]*@", "//", self.uri)
        return {"uri": uri, "collection": self.collection, "subsets": subsets}

    def __len__(self) -> int:
        if self.model.space != "parts":
            return sum(self._count(key) for key in self._known)
        return sum(self._count(self._holder(bands), bands) for bands in self.patterns())

    def patterns(self) -> list[Bands]:
        """The sets of bands that objects have, asked of Milvus, since others may have added some."""
        return [bands for bands in self._all_sets() if self._any(bands)]

    def add(self, rows: Rows) -> None:
        """Insert rows into all collections that they belong to; those inserted are taken out again after an error.

        Raises:
            ValueError: an id is there already or too long, an object belongs to no collection, or Milvus refuses.
        """
        for name in ("ids", "paths"):
            for text in getattr(rows, name):
                if len(text.encode("utf-8", "replace")) > _MOST_BYTES:
                    raise ValueError(f"{name}: {text[:40]!r}... is longer than {_MOST_BYTES} bytes")
        parts = self._parts(rows)
        for key, chosen in parts.items():
            there = self._present_ids(key, rows.ids[chosen].tolist())
            if there:
                raise ValueError(f"ids: {there[0]!r} is in the gallery already; remove it first, or choose another id")
        begun: list[tuple[Bands, list[str]]] = []
        try:
            for key, chosen in parts.items():
                self._create(key)
                for start in range(0, len(chosen), _CHUNK):
                    part = chosen[start : start + _CHUNK]
                    begun.append((key, rows.ids[part].tolist()))
                    self._insert(key, rows[part])
        except BaseException:
            for key, ids in begun:
                self._delete(key, ids)
            raise

    def remove(self, ids: Sequence[str]) -> None:
        """Delete objects from all collections.

        Raises:
            ValueError: an id is not there; nothing is deleted then.
        """
        there = {name for key in self._known for name in self._present_ids(key, ids)}
        missing = [name for name in ids if name not in there]
        if missing:
            raise ValueError(f"ids: {missing[0]!r} is not in the gallery")
        for key in self._known:
            self._delete(key, ids)

    def search(
        self, bands: Bands, among: Sequence[Bands], queries: np.ndarray, k: int, wanted: Filter, effort: int = 1
    ) -> list[list[Hit]]:
        """The k best objects for each query, as :meth:`LocalGallery.search`; exact, whatever the effort."""
        if bands not in self._known:
            raise ValueError(
                f"{self.collection} in {self.uri} has no vectors of {self._name(bands)}: add them with "
                f"subsets=[..., {self._name(bands)!r}]"
            )
        expression = " and ".join(self._conditions(among, wanted))
        scale = 1 if self.model.by_cosine else -1 / parts_in(self.model, bands)
        found: list[list[Hit]] = []
        for start in range(0, len(queries), 100):
            with self._errors("search"):
                answers = self._client.search(
                    self._collection(bands),
                    data=queries[start : start + 100].tolist(),
                    filter=expression,
                    limit=k,
                    output_fields=_FIELDS,
                    timeout=_PATIENCE,
                )
            found += [[self._hit(row["entity"], scale * row["distance"]) for row in answer] for answer in answers]
        return [sorted(hits, key=lambda hit: -hit.score) for hits in found]

    def compared(self, hits: Sequence[Hit], bands: Bands) -> np.ndarray:
        """The vectors (n, d) of what was found, as they are compared on these bands."""
        vectors: dict[str, Any] = {}
        for expression in _id_expressions([hit.id for hit in hits]):
            with self._errors("query"):
                answer = self._client.query(
                    self._collection(bands), filter=expression, output_fields=["id", "vector"], timeout=_PATIENCE
                )
            vectors |= {row["id"]: row["vector"] for row in answer}
        return np.array([vectors[hit.id] for hit in hits], dtype=np.float32)

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def _conditions(self, among: Sequence[Bands], wanted: Filter) -> Iterator[str]:
        kept = [own for own in among if wanted.bands is None or _covers(own, wanted.bands)]
        yield f"present in {[_code(own) for own in kept] or [0]}"
        if wanted.cameras is not None:
            yield f"camera in {list(wanted.cameras)}" if wanted.cameras else "camera < -1"
        if wanted.not_cameras:
            yield f"camera not in {list(wanted.not_cameras)}"
        if wanted.since is not None or wanted.until is not None:
            yield f"time > {_NO_TIME!r}"
        if wanted.since is not None:
            yield f"time >= {wanted.since!r}"
        if wanted.until is not None:
            yield f"time <= {wanted.until!r}"

    def _parts(self, rows: Rows) -> dict[Bands, np.ndarray]:
        """The rows of each collection."""
        parts: dict[Bands, list[int]] = {}
        for row, own in enumerate(map(tuple, rows.present.tolist())):
            keys = [key for key in stores_of(self.model, own) if self._is_kept(key)]
            if not keys:
                raise ValueError(f"ids: {rows.ids[row]!r} of {self._name(own)} belongs to none of the subsets")
            for key in keys:
                parts.setdefault(key, []).append(row)
        return {key: np.array(chosen) for key, chosen in parts.items()}

    def _is_kept(self, key: Bands) -> bool:
        return self.subsets is None or self.model.space == "shared" or key in self.subsets

    def _insert(self, key: Bands, rows: Rows) -> None:
        vectors = compared(rows.vectors, self.model, key)
        columns = zip(rows.ids, vectors, rows.cameras, rows.times, rows.present, rows.paths, strict=True)
        with self._errors("insert"):
            self._client.insert(
                self._collection(key),
                [
                    {
                        "id": name,
                        "vector": vector,
                        "camera": int(camera),
                        "time": _NO_TIME if math.isnan(time) else float(time),
                        "present": _code(own),
                        "path": path,
                    }
                    for name, vector, camera, time, own, path in columns
                ],
                timeout=_PATIENCE,
            )

    def _delete(self, key: Bands, ids: Sequence[str]) -> None:
        for expression in _id_expressions(ids):
            with self._errors("delete"):
                self._client.delete(self._collection(key), filter=expression, timeout=_PATIENCE)

    def _present_ids(self, key: Bands, ids: Sequence[str]) -> list[str]:
        if key not in self._known:
            return []
        found: list[str] = []
        for expression in _id_expressions(ids):
            with self._errors("query"):
                answer = self._client.query(
                    self._collection(key), filter=expression, output_fields=["id"], timeout=_PATIENCE
                )
            found += [row["id"] for row in answer]
        return found

    def _create(self, key: Bands) -> None:
        if key in self._known:
            return
        kind = self._pymilvus.DataType
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False, description=self._label())
        schema.add_field("id", kind.VARCHAR, is_primary=True, max_length=_MOST_BYTES)
        width = compared(np.zeros((1, self.model.width_of_vector), np.float32), self.model, key).shape[1]
        schema.add_field("vector", kind.FLOAT_VECTOR, dim=width)
        schema.add_field("camera", kind.INT64)
        schema.add_field("time", kind.DOUBLE)
        schema.add_field("present", kind.INT64)
        schema.add_field("path", kind.VARCHAR, max_length=_MOST_BYTES)
        index = self._client.prepare_index_params()
        index.add_index("vector", index_type="FLAT", metric_type="IP" if self.model.by_cosine else "L2")
        with self._errors("create"):
            self._client.create_collection(
                self._collection(key),
                schema=schema,
                index_params=index,
                consistency_level="Strong",  # what was added is found at once
                properties={_MODEL: self._label()},
                timeout=_PATIENCE,
            )
        self._known.append(key)

    def _own_collections(self) -> list[Bands]:
        """The sets of bands whose collections are there, all of this model."""
        with self._errors("list"):
            there = set(self._client.list_collections(timeout=_PATIENCE))
        found = []
        for key in self._all_sets():
            name = self._collection(key)
            if name not in there:
                continue
            with self._errors("describe"):
                about = self._client.describe_collection(name, timeout=_PATIENCE)
            label = about.get("properties", {}).get(_MODEL) or about.get("description", "")
            if label != self._label():
                raise ValueError(
                    f"collection {name} in {self.uri} has vectors of {label or 'another program'}, not of "
                    f"{self._label()}: choose another collection= for this model"
                )
            found.append(key)
        return found

    def _any(self, bands: Bands) -> bool:
        holder = self._holder(bands)
        if holder is None:
            return False
        with self._errors("query"):
            answer = self._client.query(
                self._collection(holder),
                filter=f"present == {_code(bands)}",
                output_fields=["id"],
                limit=1,
                timeout=_PATIENCE,
            )
        return bool(answer)

    def _count(self, key: Bands | None, own: Bands | None = None) -> int:
        if key is None:
            return 0
        with self._errors("query"):
            answer = self._client.query(
                self._collection(key),
                filter="" if own is None else f"present == {_code(own)}",
                output_fields=["count(*)"],
                timeout=_PATIENCE,
            )
        return int(answer[0]["count(*)"])

    def _holder(self, bands: Bands) -> Bands | None:
        """A collection that has all objects of exactly these bands."""
        return next((key for key in stores_of(self.model, bands) if key in self._known), None)

    def _all_sets(self) -> list[Bands]:
        sets = product((True, False), repeat=len(self.model.modalities))
        return [bands for bands in sets if any(bands)]

    def _hit(self, entity: dict[str, Any], score: float) -> Hit:
        time = float(entity["time"])
        bands = tuple(bool(entity["present"] >> place & 1) for place in range(len(self.model.modalities)))
        return Hit(
            entity["id"], score, entity["path"], int(entity["camera"]), math.nan if time <= _NO_TIME else time, bands
        )

    def _collection(self, key: Bands) -> str:
        return f"{self.collection}_{''.join('01'[there] for there in store_key(self.model, key))}"

    def _label(self) -> str:
        return f"{self.model.name} {self.model.model_id}"

    def _name(self, bands: Bands) -> str:
        return short_names(bands, self.model.modalities)

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Errors of Milvus as ``ValueError`` with its address."""
        try:
            yield
        except self._pymilvus.MilvusException as error:
            raise ValueError(f"Milvus at {self.uri}, {what}: {error.message}") from None


def _import() -> Any:
    try:
        import pymilvus
    except ImportError:
        raise ValueError("Milvus needs pymilvus, which is not installed: pip install 'promptreid[milvus]'") from None
    return pymilvus


def _connected(pymilvus: Any, uri: str, token: str) -> Any:
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs a traceback of each error that it raises
    try:
        return pymilvus.MilvusClient(uri, token=token, timeout=_CONNECT)
    except Exception as error:  # of several kinds, by what is wrong
        reason = getattr(error, "message", "") or str(error)
        remedy = "is milvus-lite installed, and the file one of its own?" if "://" not in uri else "does it run there?"
        raise ValueError(f"Milvus at {uri} cannot be reached ({reason}); {remedy}") from None


def _code(bands: Sequence[bool] | np.ndarray) -> int:
    return sum(1 << place for place, there in enumerate(bands) if there)


def _covers(bands: Bands, asked: Bands) -> bool:
    return all(there or not wanted for there, wanted in zip(bands, asked, strict=True))


def _id_expressions(ids: Sequence[str]) -> Iterator[str]:
    """Conditions on ids, a thousand at a time, quoted as JSON is."""
    for start in range(0, len(ids), _CHUNK):
        yield f"id in {json.dumps(list(ids[start : start + _CHUNK]), ensure_ascii=False)}"
