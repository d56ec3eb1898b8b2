"""A gallery finds what comparing everything with everything finds, of every kind and with any bands."""

from __future__ import annotations

import logging
import math
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import description, vectors_of

import promptreid
from promptreid.retrieval.embeddings import Embeddings, join, scores
from promptreid.retrieval.gallery import stores

ALL, RGB, RGB_NIR, TIR = (True,) * 3, (True, False, False), (True, True, False), (False, False, True)
SETS = [(bool(code & 1), bool(code & 2), bool(code & 4)) for code in range(1, 8)]


def mixed(model: Any, count: int, seed: int) -> Embeddings:
    present = [SETS[number] for number in np.random.default_rng(seed).integers(0, 7, count)]
    return vectors_of(model, np.arange(count) % 5, seed, present)


def best(queries: Embeddings, gallery: Embeddings, k: int, allowed: np.ndarray | None = None) -> list[Any]:
    """The slow twin: for each query the rows of the k best, by score and then by row, with their scores."""
    found = []
    for row in range(len(queries)):
        pairs = [(alone(queries, row, gallery, other), other) for other in range(len(gallery))]
        pairs = [(score, other) for score, other in pairs if score is not None and (allowed is None or allowed[other])]
        found.append([(other, score) for score, other in sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[:k]])
    return found


def alone(queries: Embeddings, row: int, gallery: Embeddings, other: int) -> float | None:
    """The score of one pair; None if it cannot be compared."""
    model, left, right = queries.model, queries.vectors[row].astype(float), gallery.vectors[other].astype(float)
    common, bands = queries.present[row] & gallery.present[other], 1
    if model.space == "whole" and (queries.present[row] != gallery.present[other]).any():
        return None
    if model.space == "parts":
        columns = [slice(*part) for part, there in zip(model.parts or (), common, strict=True) if there]
        if not columns:
            return None
        left, right, bands = (
            np.concatenate([left[c] for c in columns]),
            np.concatenate([right[c] for c in columns]),
            len(columns),
        )
    if model.by_cosine:
        return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))
    return float(-((left - right) ** 2).sum() / bands)


def assert_finds(hits: Any, expected: Sequence[Any], gallery: Embeddings) -> None:
    assert hits.ids == [[gallery.names[row] for row, _ in rows] for rows in expected]
    for found, rows in zip(hits.scores, expected, strict=True):
        np.testing.assert_allclose(found, [score for _, score in rows], atol=1e-5)


@pytest.fixture(params=["faiss", "own"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "own":
        monkeypatch.setitem(sys.modules, "faiss", None)
        assert stores.faiss_or_none() is None
    else:
        pytest.importorskip("faiss")
    return str(request.param)


@pytest.mark.parametrize("metric", [("cosine", False), ("euclidean", False), ("euclidean", True)])
@pytest.mark.parametrize("space", ["parts", "whole", "shared"])
def test_flat_finds_what_comparing_all_finds(library: str, space: str, metric: tuple[str, bool]) -> None:
    model = description(space, metric=metric[0], normalize=metric[1])
    if space == "shared":
        gallery, queries = vectors_of(model, np.arange(40) % 5, 1), vectors_of(model, range(5), 2)
    else:
        gallery, queries = mixed(model, 60, 1), mixed(model, 12, 2)
    index = promptreid.GalleryIndex(model)
    index.add(gallery[:25], gallery.names[:25])
    index.search(queries[:1])  # stores that are there grow with what is added
    index.add(gallery[25:])
    assert len(index) == len(gallery)
    hits = index.search(queries, k=7)
    assert_finds(hits, best(queries, gallery, 7), gallery)
    places = {name: row for row, name in enumerate(gallery.names)}
    for query, found in enumerate(hits):
        theirs = [scores(queries[[query]], gallery[[places[hit.id]]])[0, 0] for hit in found[:2]]
        assert [hit.score for hit in found[:2]] == pytest.approx(theirs, abs=1e-5)


@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 12), removed=st.sets(st.integers(0, 29)))
def test_removed_objects_are_not_found(seed: int, k: int, removed: set[int]) -> None:
    model = description()
    gallery, queries = mixed(model, 30, seed), vectors_of(model, [0, 1], seed + 1)
    index = promptreid.GalleryIndex(model)
    index.add(gallery)
    index.search(queries)
    for row in removed:
        index.remove([gallery.names[row]])
    allowed = ~np.isin(np.arange(30), list(removed))
    assert len(index) == allowed.sum()
    if allowed.any():
        assert_finds(index.search(queries, k), best(queries, gallery, k, allowed), gallery)


def test_filters_leave_the_same_objects_as_masks(library: str) -> None:
    model = description()
    gallery, queries = mixed(model, 80, 3), vectors_of(model, range(4), 4)
    cameras, times = np.arange(80) % 5 - 1, np.where(np.arange(80) % 7 == 0, np.nan, np.arange(80) * 10.0)
    index = promptreid.GalleryIndex(model)
    index.add(gallery, cameras=cameras, times=times, paths=[f"p{row}.png" for row in range(80)])
    for wanted, mask in [
        ({"cameras": [0, 2]}, np.isin(cameras, [0, 2])),
        ({"cameras": 1}, cameras == 1),
        ({"not_cameras": [1]}, cameras != 1),
        ({"since": 100, "until": 400}, (times >= 100) & (times <= 400)),
        ({"since": datetime.fromtimestamp(300, timezone.utc)}, times >= 300),
        ({"until": 200}, times <= 200),
        ({"bands": "rgb+tir"}, gallery.present[:, 0] & gallery.present[:, 2]),
        ({"bands": ["nir"], "not_cameras": [0]}, gallery.present[:, 1] & (cameras != 0)),
        ({"cameras": []}, np.zeros(80, bool)),
    ]:
        assert_finds(index.search(queries, k=6, **wanted), best(queries, gallery, 6, mask), gallery)
    (hit, *_) = index.search(queries[:1], k=1)[0]
    row = gallery.names.tolist().index(hit.id)
    assert (hit.path, hit.camera, hit.bands) == (f"p{row}.png", cameras[row], tuple(gallery.present[row]))
    assert hit.time == times[row] or (math.isnan(hit.time) and math.isnan(times[row]))


def test_one_object_under_several_sets_of_bands() -> None:
    model = description("whole")
    full = vectors_of(model, range(6), 1)
    less = vectors_of(model, range(6), 2, [RGB_NIR] * 6)
    ids = [f"p{row}" for row in range(6)]
    index = promptreid.GalleryIndex(model)
    index.add(full, ids)
    index.add(less, ids)
    assert len(index) == 6
    for side in (full, less):
        assert [found[0] for found in index.search(side, k=1).ids] == ids
    with pytest.raises(ValueError, match=r"query 3-0:.*exchange.*embed both sides again with bands='RGB'"):
        index.search(vectors_of(model, [0], 3, [RGB]))
    with pytest.raises(ValueError, match="'p2' is in the gallery already"):
        index.add(less[[2]], ["p2"])
    index.remove(["p1"])
    assert len(index) == 5 and all("p1" not in found for found in index.search(join([full, less])).ids)


def test_a_query_without_a_common_band_is_named() -> None:
    model = description()
    index = promptreid.GalleryIndex(model)
    with pytest.raises(ValueError, match="gallery is empty"):
        index.search(vectors_of(model, [0]))
    index.add(vectors_of(model, range(3), 1, [RGB, RGB_NIR, RGB]))
    with pytest.raises(ValueError, match=r"query 5-1: a query of TIR has no band in common"):
        index.search(vectors_of(model, [0, 1], 5, [RGB, TIR]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": ["a", "a", "b"]}, "'a' is given twice"),
        ({"ids": ["a", "b", "old"]}, "'old' is in the gallery already"),
        ({"ids": ["a", "b"]}, "ids: 2 entries"),
        ({"ids": ["a", "b", ""]}, "empty text"),
        ({"cameras": [0]}, "cameras: 1 entries"),
        ({"cameras": [0.5, 1, 2]}, "cameras: expected integers"),
        ({"times": [0, 1, "noon"]}, "times: expected seconds or a datetime, got 'noon'"),
    ],
)
def test_nothing_is_half_added(changes: dict[str, Any], message: str) -> None:
    model = description()
    index = promptreid.GalleryIndex(model)
    index.add(vectors_of(model, [0]), ["old"])
    with pytest.raises(ValueError, match=message):
        index.add(vectors_of(model, range(3), 1), **changes)
    assert len(index) == 1 and index.search(vectors_of(model, [0])).ids == [["old"]]


def test_what_cannot_be_asked_is_refused() -> None:
    model, other = description(), description(model_id="b" * 64)
    index = promptreid.GalleryIndex(model)
    mine = vectors_of(model, [0])
    index.add(mine)
    for call in (index.add, index.search, lambda e: index.calibrate(e, [0])):
        with pytest.raises(ValueError, match="vectors of different weights"):
            call(vectors_of(other, [0]))
    with pytest.raises(ValueError, match="'gone' is not in the gallery"):
        index.remove(["0-0", "gone"])
    assert len(index) == 1
    for wanted, message in [
        ({"k": 0}, "at least 1"),
        ({"rerank": 0}, "at least 1"),
        ({"bands": "uv"}, "knows visible"),
        ({"since": 5, "until": 3}, "after"),
        ({"cameras": ["a"]}, "cameras"),
    ]:
        with pytest.raises(ValueError, match=message):
            index.search(mine, **wanted)
    with pytest.raises(ValueError, match="kind: 'tree' is none of flat, hnsw, ivfpq"):
        promptreid.GalleryIndex(model, "tree")


def test_approximate_kinds_without_faiss_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ValueError, match=r"pip install 'promptreid\[search\]'"):
        promptreid.GalleryIndex(description(), "hnsw")


def test_hnsw_finds_nearly_all_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("faiss")
    caplog.set_level(logging.INFO)
    model = description()
    gallery, queries = vectors_of(model, np.arange(1500) % 50, 1), vectors_of(model, range(40), 2)
    index, flat = promptreid.GalleryIndex(model, "hnsw"), promptreid.GalleryIndex(model)
    for one in (index, flat):
        one.add(gallery, cameras=np.arange(1500) % 300)
    found, expected = index.search(queries), flat.search(queries)
    assert agreement(found, expected) > 0.98
    assert index.recall["RGB+NIR+TIR"] > 0.98 and "recall@10" in caplog.text
    # A filter that leaves little, and one that leaves half.
    for wanted in ({"cameras": [7]}, {"not_cameras": range(150)}):
        assert agreement(index.search(queries, **wanted), flat.search(queries, **wanted)) > 0.97
    gone = [name for names in expected.ids for name in names[:3]]
    for one in (index, flat):
        one.remove(list(dict.fromkeys(gone)))
    after = index.search(queries)
    assert not {name for names in after.ids for name in names} & {*gone}
    assert agreement(after, flat.search(queries)) > 0.97


def test_ivfpq_scores_exactly_what_it_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    monkeypatch.setattr(stores, "LEAST_IVFPQ", 1500)
    model = description("whole")
    index = promptreid.GalleryIndex(model, "ivfpq")
    gallery = vectors_of(model, np.arange(stores.LEAST_IVFPQ) % 200, 1)
    index.add(gallery[:100])
    with pytest.raises(ValueError, match=r"100 vectors are too few to train IVF-PQ.*kind='hnsw' or kind='flat'"):
        index.search(gallery[:1])
    index.add(gallery[100:])
    queries = vectors_of(model, range(20), 2)
    flat = promptreid.GalleryIndex(model)
    flat.add(gallery)
    found = index.search(queries)
    assert agreement(found, flat.search(queries)) > 0.8
    assert index.recall["RGB+NIR+TIR"] > 0.8
    every = scores(queries, gallery)
    places = {name: row for row, name in enumerate(gallery.names)}
    for query, hits in enumerate(found):
        assert [hit.score for hit in hits] == pytest.approx([every[query, places[hit.id]] for hit in hits], abs=1e-5)


@pytest.mark.parametrize("kind", ["hnsw", "ivfpq"])
def test_more_effort_finds_more(kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("faiss")
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(stores, "LEAST_IVFPQ", 1500)
    monkeypatch.setattr(stores, "_WIDTH_ASKED", 1)
    monkeypatch.setattr(stores, "_LINKS", 2)
    monkeypatch.setattr(stores, "_REFINED", 1)
    model = description("whole")
    gallery = vectors_of(model, range(1500), 1)  # all alike, which is hard
    index, flat = promptreid.GalleryIndex(model, kind), promptreid.GalleryIndex(model)
    for one in (index, flat):
        one.add(gallery)
    queries = vectors_of(model, range(40), 2)
    exact = flat.search(queries)
    little, more, most = (agreement(index.search(queries, effort=effort), exact) for effort in (1, 4, 64))
    assert little < 0.9 and little + 0.05 < more <= most and most > 0.9
    assert flat.search(queries, effort=4).ids == exact.ids
    said = re.search(r"recall@10 ([0-9.]+) against the exact search, on its own vectors; with effort=8 ([0-9.]+)",
                     caplog.text)  # fmt: skip
    assert said and float(said[1]) == pytest.approx(index.recall["RGB+NIR+TIR"], abs=1e-3)
    assert float(said[1]) < float(said[2])
    with pytest.raises(ValueError, match="effort 0 must be at least 1"):
        index.search(queries, effort=0)


def agreement(found: Any, expected: Any) -> float:
    shares = [len({*a} & {*b}) / max(len(b), 1) for a, b in zip(found.ids, expected.ids, strict=True)]
    return float(np.mean(shares))


@pytest.mark.parametrize("space", ["shared", "parts"])
def test_re_ranking_is_that_of_the_candidates_alone(space: str) -> None:
    from promptreid.evaluation.ranking.reranking import KReciprocal

    model = description(space)
    gallery, queries = vectors_of(model, np.arange(60) % 6, 1, noise=1.0), vectors_of(model, range(3), 2, noise=1.0)
    index = promptreid.GalleryIndex(model)
    index.add(gallery)
    plain, found = index.search(queries, 40), index.search(queries, 5, rerank=40)
    for query in range(3):
        rows = [gallery.names.tolist().index(name) for name in plain.ids[query]]
        between = KReciprocal().distances(queries.vectors[[query]], gallery.vectors[rows], "cosine")
        distances = between.rows(torch.tensor([0]))[0].numpy()
        order = np.argsort(distances, kind="stable")[:5]
        assert found.ids[query] == [plain.ids[query][place] for place in order]
        np.testing.assert_allclose(found.scores[query], 1 - distances[order], atol=1e-5)


def test_re_ranking_needs_a_common_band() -> None:
    model = description()
    index = promptreid.GalleryIndex(model)
    index.add(vectors_of(model, range(4), 1, [RGB, TIR, ALL, RGB_NIR]))
    query = vectors_of(model, [0], 2)
    with pytest.raises(ValueError, match=r"search with bands="):
        index.search(query, rerank=4)
    assert len(index.search(query, rerank=4, bands="rgb")[0]) == 3
