"""Files of vectors, galleries, compressors, and the texts by which exported programs describe themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
from tests.fuzz.outcome import Target
from tests.fuzz.source import Source
from tests.fuzz.targets.tables import made_parquet, of_file

from promptreid.retrieval import array_files
from promptreid.retrieval.compression.compressor import Compressor
from promptreid.retrieval.compression.files import packed
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embedding_files import load_embeddings
from promptreid.retrieval.embeddings import Embeddings
from promptreid.retrieval.export.about import KEYS, MODEL, PRECISION, VERSIONS, About
from promptreid.retrieval.export.torchscript_file import _texts
from promptreid.retrieval.gallery.index import GalleryIndex
from promptreid.retrieval.gallery.threshold import Threshold

Arrays = dict[str, np.ndarray]
MODEL_OF = ModelDescription("toy", "a" * 64, ("visible", "infrared"), 1, 32, 16, (0.5,) * 3, (0.5,) * 3, 4, None)
ABOUT = {"kind": "embeddings", "layout": "1", "model": MODEL_OF.to_json(), "failed": "[]"}
THRESHOLD = Threshold(0.5, 0.01, 1000, 30, 0.9, "among all", (0.005, 0.02))


def objects(count: int) -> Embeddings:
    """Objects of the toy model."""
    vectors = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    present = np.eye(2, dtype=bool)[np.arange(count) % 2]
    return Embeddings(MODEL_OF, vectors, present, array_files.texts(range(count)), np.zeros(count, np.int64))


@lru_cache(maxsize=4)
def compressor(store: str) -> Compressor:
    """One that was fitted on objects of the toy model."""
    return Compressor.fit(objects(300), dim=2, store=store)


def made_vectors(folder: Path, content: bytes) -> object:
    """A file of vectors with altered columns and texts, its digests right."""
    source = Source(content)
    arrays, about = _columns(), {"model": MODEL_OF.to_json(), "failed": '[["a", "b"]]'}
    if source.once_in(3):
        codebook, made_by = packed(compressor(source.choice(("int8", "float16"))))
        arrays, about = {**arrays, **codebook}, {**about, **made_by}
    return load_embeddings(_written(source, folder / "a.safetensors", "embeddings", arrays, about))


def made_gallery(folder: Path, content: bytes) -> object:
    """A gallery with altered columns and texts, searched where it can be read."""
    source = Source(content)
    held = objects(4)
    arrays = {
        "vectors": held.vectors,
        "present": held.present,
        "ids": held.names,
        "paths": held.names,
        "cameras": held.cameras,
        "times": np.zeros(4),
    }
    about = {"model": MODEL_OF.to_json(), "index": "flat", "threshold": THRESHOLD.to_json(), "recall": '{"01": 0.5}'}
    if source.once_in(3):
        codebook, made_by = packed(compressor("int8"))
        arrays, about = {**arrays, **codebook}, {**about, **made_by}
    path = _written(source, folder / "a.safetensors", "gallery", arrays, about)
    try:
        index = GalleryIndex.load(path)
    finally:
        assert not (folder / "milvus.db").exists()
    return index.search(objects(2), k=2) if index.model == MODEL_OF else len(index)


def made_compressor(folder: Path, content: bytes) -> object:
    """A compressor with altered arrays and texts, its digests right."""
    source = Source(content)
    arrays, about = packed(compressor(source.choice(("int8", "float16", "float32"))))
    if source.once_in(2):
        about = {"compressor": source.altered_text(about["compressor"])}
    path = _written(source, folder / "a.safetensors", "compressor", arrays, about)
    return Compressor.load(path)


def about_texts(folder: Path, content: bytes) -> object:
    """The texts of an exported program."""
    parts = content.split(b"\0\0")
    texts: Any = {key: part.decode("utf-8", "replace") for key, part in zip(KEYS, parts, strict=False)}
    if len(parts) > len(KEYS):
        texts = _texts(parts[-1])
    return About.of_texts(texts, folder / "a.onnx")


def made_about(folder: Path, content: bytes) -> object:
    """The same, altered."""
    source = Source(content)
    texts: dict[str, Any] = {
        MODEL: source.altered_text(MODEL_OF.to_json()),
        PRECISION: source.choice(["fp32", "fp32", source.text()]),
        VERSIONS: source.altered_text('{"torch": "2.12"}'),
    }
    if source.once_in(4):
        texts[source.choice(sorted(texts))] = source.value()
    return About.of_texts(texts, folder / "a.onnx").texts()


def _columns() -> Arrays:
    held = objects(4)
    return {
        "vectors": held.vectors,
        "present": held.present,
        "names": held.names,
        "cameras": held.cameras,
        "pids": np.arange(4),
        "paths": held.names,
    }


def _written(source: Source, path: Path, kind: str, arrays: Arrays, about: dict[str, str]) -> Path:
    arrays = source.altered_arrays(arrays)
    if about and source.once_in(2):
        name = source.choice(sorted(about))
        about = {**about, name: _altered_text(source, about[name])}
    clean = {name.encode("utf-8", "replace").decode(): value for name, value in arrays.items()}
    array_files.write_arrays(path, kind, source.choice((1, 1, 2)), clean, about)
    return path


def _altered_text(source: Source, text: str) -> str:
    try:
        return source.altered_text(text)
    except ValueError:  # no JSON
        return source.text()


def _seed(write: Callable[[Path], object]) -> list[bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        write(path)
        return [path.read_bytes()]


def _write_gallery(path: Path) -> None:
    index = GalleryIndex(MODEL_OF)
    index.add(objects(4))
    index.threshold = THRESHOLD
    index.save(path)


def _about_seeds() -> list[bytes]:
    model = MODEL_OF.to_json().encode()
    whole = json.dumps({MODEL: MODEL_OF.to_json(), PRECISION: "fp32", VERSIONS: "{}"}).encode()
    return [
        b"\0\0".join([model, b"fp32", b"{}"]),
        b"\0\0".join([b"", b"", b"", whole]),
        b"[" * 9000 + b"\0\0fp32\0\0{}",
        model + b"\0\0fp32\0\0" + b"[" * 9000,
        b"\0\0\0\0\0\0" + b"[" * 9000,
    ]


JSON = (
    b"{",
    b"[",
    b'"',
    b"null",
    b"NaN",
    b"1e999",
    b"-1",
    b'"modalities": ',
    b'"mean": ',
    b'"parts": ',
    b'"model_id": ',
    b"\\ud800",
)

TARGETS = [
    Target("made_vectors", made_vectors, lambda: [bytes(8)]),
    Target(
        "vectors_parquet",
        lambda folder, content: made_parquet(folder, content, load_embeddings, _parquet_columns(), ABOUT),
        lambda: [bytes(8)],
    ),
    Target("gallery", of_file("a.safetensors", GalleryIndex.load), lambda: _seed(_write_gallery), JSON, 8192),
    Target("made_gallery", made_gallery, lambda: [bytes(8)]),
    Target("made_compressor", made_compressor, lambda: [bytes(8)]),
    Target("about", about_texts, _about_seeds, JSON),
    Target("made_about", made_about, lambda: [bytes(8)]),
]


def _parquet_columns() -> dict[str, Any]:
    columns: dict[str, Any] = {name: values.tolist() for name, values in _columns().items()}
    for name, kind, width in (("vectors", arrow.float32(), 4), ("present", arrow.bool_(), 2)):
        columns[name] = arrow.array(columns[name], arrow.list_(kind, width))
    return columns
