"""A gallery of smaller descriptors: queries are made smaller on the way in, and files and memory hold codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from vectors import description, vectors_of

from promptreid import GalleryIndex
from promptreid.retrieval.compression.compressor import Compressor
from promptreid.retrieval.embeddings import scores

SETS = [(True, True, True), (True, False, False), (False, True, True)]


def compressor(space: str = "parts", **settings: Any) -> Compressor:
    if settings.get("store", "").startswith("pq"):
        pytest.importorskip("faiss")
    return Compressor.fit(vectors_of(description(space), np.arange(400) % 20, 9), **settings)


def filled(small: Compressor, count: int = 60, kind: str = "flat") -> Any:
    present = None if small.model.space == "shared" else [SETS[number % 3] for number in range(count)]
    gallery = vectors_of(small.model, np.arange(count) % 10, 1, present)
    index = GalleryIndex(small.model, kind, compressor=small)
    index.add(gallery[: count // 2])
    index.search(gallery[:1])  # what is there grows with what is added
    index.add(small.apply(gallery[count // 2 :]))
    return index, gallery


@pytest.mark.parametrize("space", ["parts", "shared"])
@pytest.mark.parametrize(
    "settings",
    [{"dim": 6, "store": "int8"}, {"store": "float16"}, {"dim": 6, "whiten": True}, {"store": "pq4"}],
    ids=str,
)
def test_hits_are_those_of_the_smaller_vectors(settings: dict[str, Any], space: str, tmp_path: Path) -> None:
    small = compressor(space, **settings)
    index, gallery = filled(small)
    assert index.model == small.compressed
    queries = vectors_of(small.model, range(5), 2)
    expected = scores(small.apply(queries), small.apply(gallery))
    hits = index.search(queries, k=8)
    for found, own in zip(hits, expected, strict=True):
        np.testing.assert_allclose([hit.score for hit in found], np.sort(own)[::-1][:8], atol=1e-5)
        places = [gallery.names.tolist().index(hit.id) for hit in found]
        np.testing.assert_allclose([hit.score for hit in found], own[places], atol=1e-5)
    index.save(tmp_path / "g.safetensors")
    assert load_file(tmp_path / "g.safetensors")["vectors"].nbytes == 60 * small.bytes_per_object
    again = GalleryIndex.load(tmp_path / "g.safetensors")
    assert again.compressor.digest == small.digest
    for asked in (queries, small.apply(queries)):
        assert again.search(asked, k=8).ids == hits.ids and again.search(asked, k=8).scores == hits.scores
    again.add(vectors_of(small.model, [3], 7), ids=["new"])
    again.remove(gallery.names[:40].tolist())
    left = again.search(queries, k=60)
    assert len(again) == 21 and not {name for names in left.ids for name in names} & {*gallery.names[:40]}


def test_a_flat_gallery_in_memory_is_its_codes() -> None:
    small = compressor("shared", dim=6, store="int8")
    index, _ = filled(small)
    local = index.gallery
    assert local.rows.vectors.dtype == np.int8 and local.rows.vectors.nbytes == 60 * 6
    assert all(held.store is None for held in local.held.values())


@pytest.mark.parametrize("kind", ["hnsw", "ivfpq"])
def test_approximate_kinds_score_the_smaller_vectors_exactly(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faiss")
    monkeypatch.setattr("promptreid.retrieval.gallery.stores.LEAST_IVFPQ", 256)
    small = compressor("shared", dim=8, store="int8")
    gallery = vectors_of(small.model, np.arange(600) % 40, 1)
    index = GalleryIndex(small.model, kind, compressor=small)
    index.add(gallery)
    queries = vectors_of(small.model, range(10), 2)
    every = scores(small.apply(queries), small.apply(gallery))
    index.save(tmp_path / "g.safetensors")
    for one in (index, GalleryIndex.load(tmp_path / "g.safetensors")):
        for query, found in enumerate(one.search(queries)):
            places = [gallery.names.tolist().index(hit.id) for hit in found]
            assert [hit.score for hit in found] == pytest.approx(every[query, places].tolist(), abs=1e-5)
        assert next(iter(one.recall.values())) > 0.8


def test_thresholds_and_re_ranking_are_of_the_smaller_vectors() -> None:
    small = compressor("shared", dim=6, store="int8")
    index, _ = filled(small)
    others, people = vectors_of(small.model, np.arange(60) % 20, 4), np.arange(60) % 20
    plain, smaller = (index.calibrate(side, people, 0.05) for side in (others, small.apply(others)))
    assert plain == smaller
    queries = vectors_of(small.model, range(3), 2)
    hits = index.search(queries, 5, rerank=20)
    assert hits.known is not None and hits.ids == index.search(small.apply(queries), 5, rerank=20).ids


def test_other_vectors_and_compressors_are_refused() -> None:
    small, other = compressor(dim=6), compressor(dim=6, store="int8")
    test = vectors_of(small.model, range(4), 3)
    with pytest.raises(ValueError, match="give the compressor of their embeddings"):
        GalleryIndex(small.compressed)
    with pytest.raises(ValueError, match="one compressor"):
        GalleryIndex(small.compressed, compressor=other)
    with pytest.raises(ValueError, match="of different weights"):
        GalleryIndex(description(model_id="b" * 64), compressor=small)
    plain, index = GalleryIndex(small.model), GalleryIndex(small.compressed, compressor=small)
    plain.add(test)
    index.add(test)
    for call in (plain.add, plain.search, plain.calibrate):
        with pytest.raises(ValueError, match="one compressor"):
            call(small.apply(test), *([range(4)] if call == plain.calibrate else []))
    for call in (index.add, index.search):
        with pytest.raises(ValueError, match="one compressor"):
            call(other.apply(test))
        with pytest.raises(ValueError, match="of different weights"):
            call(vectors_of(description(model_id="b" * 64), range(2)))
    assert len(index) == 4


def test_milvus_keeps_the_smaller_vectors(tmp_path: Path) -> None:
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    small = compressor("shared", dim=6, store="int8")
    gallery, queries = vectors_of(small.model, np.arange(30) % 10, 1), vectors_of(small.model, range(3), 2)
    flat = GalleryIndex(small.model, compressor=small)
    index = GalleryIndex(small.model, uri=str(tmp_path / "g.db"), collection="small", compressor=small)
    for one in (flat, index):
        one.add(gallery)
    index.save(tmp_path / "g.safetensors")
    index.close()
    again = GalleryIndex.load(tmp_path / "g.safetensors")
    found, expected = again.search(queries, 5), flat.search(queries, 5)
    again.close()
    assert again.model == small.compressed and found.ids == expected.ids
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
