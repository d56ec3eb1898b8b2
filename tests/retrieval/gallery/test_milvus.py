"""A gallery in Milvus answers as one in memory does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vectors import description, vectors_of

import promptreid

RGB, NIR, BOTH = (True, False), (False, True), (True, True)
TWO = {"modalities": ("visible", "near_infrared"), "images_per_sample": 2}
ODD = ["a b", "it's", 'quo"te', "back\\slash", "ü☂", "line\nend", "or 1 == 1", "{ids}", '"] or id != "']


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("milvus_lite")
    pytest.importorskip("pymilvus")
    yield str(tmp_path_factory.mktemp("milvus") / "gallery.db")


def pair(uri: str, collection: str, model: Any, **settings: Any) -> list[Any]:
    """The same in Milvus and in memory."""
    return [promptreid.GalleryIndex(model, uri=uri, collection=collection, **settings), promptreid.GalleryIndex(model)]


def assert_alike(found: Any, expected: Any) -> None:
    assert found.ids == expected.ids and found.known == expected.known
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose([hit.score for hit in own], [hit.score for hit in other], atol=1e-5)
        assert [str(hit._replace(score=0)) for hit in own] == [str(hit._replace(score=0)) for hit in other]


def toy(space: str = "parts", **changes: Any) -> Any:
    """A model of two bands: Milvus takes half a second for each collection."""
    if space == "shared":
        return description(space, **changes)
    return description(space, 8, **TWO, parts=((0, 4), (4, 8)) if space == "parts" else None, **changes)


@pytest.mark.parametrize(("space", "metric"), [("parts", "euclidean"), ("whole", "cosine"), ("shared", "cosine")])
def test_the_answers_are_those_of_memory(uri: str, space: str, metric: str, tmp_path: Path) -> None:
    model = toy(space, metric=metric, normalize=metric == "cosine")
    present = None if space == "shared" else [(RGB, BOTH, NIR)[row % 3] for row in range(40)]
    gallery = vectors_of(model, np.arange(40) % 5, 1, present)
    queries = vectors_of(model, range(4), 2, present and present[:4])
    ids = [*ODD, *(f"p{row}" for row in range(40 - len(ODD)))]
    times = np.where(np.arange(40) % 5 == 0, np.nan, np.arange(40) * 1.5)
    both = pair(uri, f"answers_{space}_{metric}", model)
    for index in both:
        index.add(gallery, ids, cameras=np.arange(40) % 3 - 1, times=times)
        index.calibrate(gallery, np.arange(40) % 5, 0.1)
    filters = [
        {},
        {"cameras": [0, 1]},
        {"not_cameras": 1, "since": 3},
        {"until": 30},
        {"cameras": []},
        {"bands": "rgb"},
    ]
    for wanted in filters:
        assert_alike(*(index.search(queries, 6, **wanted) for index in both))
    seen = queries[queries.present[:, 0]]
    assert_alike(*(index.search(seen, 6, rerank=8, bands="rgb") for index in both))
    for index in both:
        index.remove(ODD)
        assert len(index) == 40 - len(ODD)
        with pytest.raises(ValueError, match="'a b' is not in the gallery"):
            index.remove(["p0", "a b"])
    assert_alike(*(index.search(queries, 6) for index in both))
    both[0].save(tmp_path / "g.safetensors")
    both[0].close()
    again = promptreid.GalleryIndex.load(tmp_path / "g.safetensors")
    assert (again.kind, again.threshold) == ("milvus", both[1].threshold)
    assert_alike(again.search(queries, 6), both[1].search(queries, 6))
    again.close()


def test_what_fails_in_the_middle_is_taken_out_again(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy()
    index = promptreid.GalleryIndex(model, uri=uri, collection="middle")
    index.add(vectors_of(model, range(3), 1))
    insert, calls = index.gallery._insert, []

    def failing(key: Any, rows: Any) -> None:
        calls.append(key)
        insert(key, rows)
        if len(calls) == 2:
            raise ValueError("the server went away")

    monkeypatch.setattr(index.gallery, "_insert", failing)
    new = vectors_of(model, range(5), 2)
    with pytest.raises(ValueError, match="went away"):
        index.add(new)
    monkeypatch.undo()
    assert len(index) == 3
    for bands in (BOTH, RGB, NIR):
        queries = vectors_of(model, [0], 3, [bands])
        assert sorted(index.search(queries).ids[0]) == ["1-0", "1-1", "1-2"]
    index.add(new)
    assert len(index) == 8
    with pytest.raises(ValueError, match="'2-1' is in the gallery already"):
        index.add(new[[1]])
    index.close()


def test_another_model_s_collection_is_refused(uri: str) -> None:
    model = toy("whole")
    index = promptreid.GalleryIndex(model, uri=uri, collection="people")
    index.add(vectors_of(model, [0], 1))
    index.close()
    with pytest.raises(ValueError, match=r"people_11 in .* has vectors of toy aaa.*choose another collection="):
        promptreid.GalleryIndex(toy("whole", model_id="b" * 64), uri=uri, collection="people")
    with pytest.raises(ValueError, match="collection: 'a-b'"):
        promptreid.GalleryIndex(model, uri=uri, collection="a-b")


def test_only_the_subsets_that_are_asked_for_are_kept(uri: str) -> None:
    model = toy()
    index = promptreid.GalleryIndex(model, uri=uri, collection="few", subsets=["RGB"])
    index.add(vectors_of(model, range(3), 1, [RGB, BOTH, BOTH]))
    assert len(index) == 3
    assert len(index.search(vectors_of(model, [0], 2, [RGB])).ids[0]) == 3
    with pytest.raises(ValueError, match=r"no vectors of RGB\+NIR: add them with subsets="):
        index.search(vectors_of(model, [0], 2))
    with pytest.raises(ValueError, match="belongs to none of the subsets"):
        index.add(vectors_of(model, [0], 3, [NIR]))
    with pytest.raises(ValueError, match="longer than 1024 bytes"):
        index.add(vectors_of(model, [0], 3), ["x" * 1025])
    index.close()


def test_nobody_there_is_told_at_once() -> None:
    pytest.importorskip("pymilvus")
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"Milvus at http://127\.0\.0\.1:9 cannot be reached"):
        promptreid.GalleryIndex(description(), uri="http://127.0.0.1:9")
    assert time.monotonic() - start < 15


def test_a_file_that_is_none_of_milvus_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite")
    (tmp_path / "other.db").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"other\.db cannot be reached"):
        promptreid.GalleryIndex(description(), uri=str(tmp_path / "other.db"))


def test_without_pymilvus_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pymilvus", None)
    with pytest.raises(ValueError, match=r"pip install 'promptreid\[milvus\]'"):
        promptreid.GalleryIndex(description(), uri="gallery.db")
