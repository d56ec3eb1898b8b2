"""Index files: vectors, columns of the objects, and the stores of approximate kinds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from promptreid.evaluation.features import check_length
from promptreid.json_texts import parse_json
from promptreid.retrieval.array_files import read_arrays, write_arrays
from promptreid.retrieval.compression.compressor import Compressor
from promptreid.retrieval.compression.files import packed, unpacked
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embeddings import Embeddings
from promptreid.retrieval.gallery import stores
from promptreid.retrieval.gallery.local import LocalGallery
from promptreid.retrieval.gallery.milvus import MilvusGallery
from promptreid.retrieval.gallery.rows import Bands, Rows
from promptreid.retrieval.gallery.threshold import Threshold

if TYPE_CHECKING:
    from promptreid.retrieval.gallery.index import GalleryIndex

SUFFIX = ".safetensors"
_KIND, _LAYOUT, _NEWEST = "gallery", 1, 2
"""Galleries of compressed vectors have the newest layout, so that nobody reads their codes as vectors."""
_COLUMNS = ("vectors", "present", "ids", "paths", "cameras", "times")
_STORE = "store."


def check_index_path(path: Path) -> None:
    """Raise ``ValueError`` before the work starts, if the suffix does not allow writing an index."""
    if path.suffix != SUFFIX:
        raise ValueError(f"{path}: files of galleries end in {SUFFIX}")


def save(path: Path, index: GalleryIndex) -> None:
    """Write an index, as :meth:`GalleryIndex.save`."""
    check_index_path(path)
    about = {
        "model": index.model.to_json(),
        "index": index.kind,
        "threshold": "" if index.threshold is None else index.threshold.to_json(),
    }
    gallery, layout = index.gallery, _LAYOUT if index.compressor is None else _NEWEST
    codebook, made_by = packed(index.compressor)
    about |= made_by
    if isinstance(gallery, MilvusGallery):
        write_arrays(path, _KIND, layout, codebook, {**about, "milvus": json.dumps(gallery.address())})
        return
    assert isinstance(gallery, LocalGallery)
    gallery.compact()
    gallery.build()
    arrays = {name: getattr(gallery.rows, name) for name in _COLUMNS} | codebook
    for bands, held in gallery.held.items():
        if isinstance(held.store, stores.FaissStore) and held.store.kind != "flat":
            arrays[_STORE + _bits(bands)] = stores.need_faiss(index.kind).serialize_index(held.store.index)
    recall = {_bits(bands): value for bands, value in gallery.recall.items()}
    write_arrays(path, _KIND, layout, arrays, {**about, "recall": json.dumps(recall)})


def load(path: Path, token: str = "") -> GalleryIndex:
    """Read an index, as :meth:`GalleryIndex.load`."""
    arrays, about = read_arrays(path, _KIND, _NEWEST)
    try:
        return _index(arrays, about, token)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}; write it again") from None


def _index(arrays: dict[str, np.ndarray], about: Mapping[str, str], token: str) -> GalleryIndex:
    from promptreid.retrieval.gallery.index import GalleryIndex

    missing = [name for name in ("model", "index", "threshold") if name not in about]
    if missing:
        raise ValueError(f"has no {missing[0]}")
    model = ModelDescription.from_json(about["model"])
    compressor = unpacked(arrays, about)
    if about["index"] == "milvus":
        found = GalleryIndex(model, **_address(about.get("milvus", "")), token=token, compressor=compressor)
    else:
        found = GalleryIndex(model, about["index"], compressor=compressor)
        assert isinstance(found.gallery, LocalGallery)
        recall = {_bands(model, bits): float(value) for bits, value in parse_json(about.get("recall", "{}")).items()}
        found.gallery.restore(_rows(model, arrays, compressor), _held(model, about["index"], arrays), recall)
    if about["threshold"]:
        found.threshold = Threshold.from_json(about["threshold"])
    return found


def _rows(model: ModelDescription, arrays: Mapping[str, np.ndarray], compressor: Compressor | None) -> Rows:
    missing = [name for name in _COLUMNS if name not in arrays]
    if missing:
        raise ValueError(f"has no {missing[0]}")
    rows = Rows(**{name: arrays[name] for name in _COLUMNS})
    vectors = rows.vectors if compressor is None else compressor.decode(rows.vectors, rows.present)
    Embeddings(model, vectors, rows.present, rows.ids, rows.cameras, compressor=compressor)
    for name, kinds in (
        ("vectors", "f" if compressor is None else "fiu"),
        ("present", "b"),
        ("ids", "O"),
        ("paths", "O"),
        ("cameras", "i"),
        ("times", "f"),
    ):
        check_length(name, len(arrays[name]), len(rows), "ids")
        if arrays[name].dtype.kind not in kinds:
            raise ValueError(f"{name}: of the type {arrays[name].dtype}")
    return rows


def _held(model: ModelDescription, kind: str, arrays: Mapping[str, np.ndarray]) -> dict[Bands, stores.Store]:
    """The stores; their bytes are those that were written, or reading the file has failed."""
    found: dict[Bands, stores.Store] = {}
    for name in arrays:
        if name.startswith(_STORE):
            try:
                index = stores.need_faiss(kind).deserialize_index(arrays[name])
            except RuntimeError as error:
                raise ValueError(f"FAISS cannot read {name} ({str(error).splitlines()[0]})") from None
            found[_bands(model, name.removeprefix(_STORE))] = stores.FaissStore(index, model.by_cosine, kind)
    return found


def _address(text: str) -> dict[str, Any]:
    content = parse_json(text)
    return {name: content[name] for name in ("uri", "collection", "subsets")}


def _bits(bands: Bands) -> str:
    return "".join("01"[there] for there in bands)


def _bands(model: ModelDescription, bits: str) -> Bands:
    if len(bits) != len(model.modalities) or set(bits) - {"0", "1"}:
        raise ValueError(f"{bits!r}: no set of bands of {model.name}")
    return tuple(bit == "1" for bit in bits)
