"""A compressor makes vectors smaller, keeps bands apart, and never lets two kinds of vectors be mixed."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from vectors import description, vectors_of

from promptreid.retrieval.compression.compressor import Compressor
from promptreid.retrieval.embedding_files import load_embeddings, save_embeddings
from promptreid.retrieval.embeddings import Embeddings, join, scores, unit_length

SETS = [(bool(code & 1), bool(code & 2), bool(code & 4)) for code in range(1, 8)]
SETTINGS: list[dict[str, Any]] = [
    {"dim": 6},
    {"dim": 7, "whiten": True, "store": "int8"},
    {"store": "float16"},
    {"store": "int8"},
    {"dim": 6, "store": "pq3"},
]


def drawn(space: str = "parts", count: int = 400, seed: int = 1, **changes: Any) -> Embeddings:
    """Vectors of all sets of bands, where the space has several."""
    model = description(space, **changes)
    present = None if space == "shared" else [SETS[6 if number % 2 else number % 7] for number in range(count)]
    return vectors_of(model, np.arange(count) % 20, seed, present)


def fitted(settings: dict[str, Any], space: str = "parts", **changes: Any) -> Compressor:
    if settings.get("store", "").startswith("pq"):
        pytest.importorskip("faiss")
    return Compressor.fit(drawn(space, **changes), **settings)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("space", ["parts", "whole", "shared"])
def test_smaller_vectors_in_files_and_batches(space: str, settings: dict[str, Any], tmp_path: Path) -> None:
    small, test = fitted(settings, space), drawn(space, 50, 2)
    assert small.digest == fitted(settings, space).digest
    done = small.apply(test)
    width = settings.get("dim", 12)
    assert done.vectors.shape == (50, width) and done.vectors.dtype == np.float32
    assert done.model == small.compressed and done.model.compression == small.digest
    assert small.bytes_per_object == {"int8": width, "float16": 24, "pq3": 3}.get(settings.get("store", ""), 4 * width)
    batches = join([small.apply(test[start : start + 7]) for start in range(0, 50, 7)])
    np.testing.assert_array_equal(batches.vectors, done.vectors)
    small.save(tmp_path / "c.safetensors")
    again = Compressor.load(tmp_path / "c.safetensors")
    assert again.digest == small.digest and again.compressed == small.compressed and again.label == small.label
    np.testing.assert_array_equal(again.apply(test).vectors, done.vectors)
    save_embeddings(done, tmp_path / "v.safetensors", {"pids": np.arange(50)})
    found, columns = load_embeddings(tmp_path / "v.safetensors")
    np.testing.assert_array_equal(found.vectors, done.vectors)
    assert found.model == done.model and found.compressor.digest == small.digest and list(columns) == ["pids"]
    stored = load_file(tmp_path / "v.safetensors")["vectors"]
    assert stored.nbytes == 50 * small.bytes_per_object


def test_the_vectors_are_the_projected_ones_of_unit_length() -> None:
    train, test = drawn("shared"), drawn("shared", 30, 2)
    found = Compressor.fit(train, dim=5).apply(test)
    plain = train.vectors.astype(np.float64)
    _, axes = np.linalg.eigh(np.cov(plain.T))
    expected = unit_length((test.vectors - plain.mean(0)) @ axes[:, ::-1][:, :5])
    np.testing.assert_allclose(np.abs(found.vectors), np.abs(expected), atol=1e-5)
    np.testing.assert_allclose(found.vectors @ found.vectors.T, expected @ expected.T, atol=1e-5)


@pytest.mark.parametrize("settings", SETTINGS[:-1], ids=str)
def test_each_part_has_its_own_projection(settings: dict[str, Any]) -> None:
    """What a band's columns become does not depend on which other bands an object has."""
    small = fitted(settings)
    whole = vectors_of(small.model, range(8), 3)
    alone = vectors_of(small.model, range(8), 3, [(False, True, False)] * 8)
    left, right = small.apply(whole), small.apply(alone)
    assert small.compressed.parts is not None
    start, stop = small.compressed.parts[1]
    assert not np.delete(right.vectors, np.s_[start:stop], axis=1).any()
    pairs = unit_length(left.vectors[:, start:stop]), unit_length(right.vectors[:, start:stop])
    # Of another length, so rounded otherwise.
    loose = {"int8": 0.05, "float16": 1e-3}.get(settings.get("store", ""), 1e-5)
    np.testing.assert_allclose(*pairs, atol=loose)
    np.testing.assert_allclose(scores(left, right), pairs[0] @ pairs[1].T, atol=1e-5)


def test_scores_of_all_directions_are_those_of_centred_vectors() -> None:
    """With every direction and float32, cosines are those of the centred parts, weighed by the parts' lengths."""
    train, test = vectors_of(description(), np.arange(200) % 20, 1), vectors_of(description(), range(6), 2)
    found = scores(*[Compressor.fit(train, dim=12).apply(test)] * 2)
    centred = np.zeros((6, 12))
    for part in (slice(0, 4), slice(4, 8), slice(8, 12)):
        mean = unit_length(train.vectors[:, part]).mean(0)
        length = np.linalg.norm(test.vectors[:, part], axis=1, keepdims=True)
        centred[:, part] = test.vectors[:, part] - length * mean
    np.testing.assert_allclose(found, unit_length(centred) @ unit_length(centred).T, atol=1e-5)


def test_distances_stay_distances_where_the_model_compares_by_them() -> None:
    train = drawn("shared", metric="euclidean", normalize=False)
    test = drawn("shared", 10, 2, metric="euclidean", normalize=False)
    every = Compressor.fit(train, dim=12).apply(test)
    np.testing.assert_allclose(scores(every, every), scores(test, test), rtol=1e-3, atol=1e-3)
    assert (scores(*[Compressor.fit(train, dim=4).apply(test)] * 2) >= scores(test, test) - 1e-3).all()


def test_more_numbers_find_more() -> None:
    """Recall of the ten nearest falls with the bytes."""
    pytest.importorskip("faiss")
    train, test = drawn("shared", 600), drawn("shared", 100, 2)
    expected = np.argsort(-scores(test, train), axis=1)[:, :10]

    def recall(**settings: Any) -> float:
        small = Compressor.fit(train, **settings)
        found = np.argsort(-scores(small.apply(test), small.apply(train)), axis=1)[:, :10]
        return float(np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, expected, strict=True)]))

    shares = [recall(store=store) for store in ("float16", "int8", "pq12", "pq4", "pq1")]
    assert all(more >= less - 0.02 for more, less in pairwise(shares)), shares
    assert shares[0] > 0.98 and shares[1] > 0.95 and shares[-1] < 0.8


def test_kinds_of_vectors_are_never_mixed() -> None:
    plain, test = drawn(), drawn(count=20, seed=2)
    small, other = Compressor.fit(plain, dim=6), Compressor.fit(plain, dim=6, store="int8")
    ids = {small.compressed.model_id, other.compressed.model_id, plain.model.model_id}
    assert len(ids) == 3
    with pytest.raises(ValueError, match=r"compressed by .*toy's own.*compress apply"):
        scores(test, small.apply(test))
    with pytest.raises(ValueError, match=r"compressed by .* compressed by .*one compressor"):
        join([small.apply(test), other.apply(test)])
    with pytest.raises(ValueError, match="compressed already"):
        small.apply(small.apply(test))
    with pytest.raises(ValueError, match="compressed already"):
        Compressor.fit(small.apply(plain), dim=3)
    with pytest.raises(ValueError, match="vectors to be compressed: its vectors are of toy"):
        small.apply(drawn(count=5, model_id="b" * 64))
    with pytest.raises(ValueError, match="not the one by which"):
        Embeddings(
            small.compressed, *(getattr(small.apply(test), n) for n in ("vectors", "present", "names", "cameras"))
        )


@pytest.mark.parametrize(
    ("settings", "count", "message"),
    [
        ({}, 400, "float32 changes nothing"),
        ({"whiten": True, "store": "int8"}, 400, "whitening needs it"),
        ({"dim": 2}, 400, "one for each part"),
        ({"dim": 13}, 400, "5 numbers of 4"),
        ({"dim": 12}, 4, "vectors vary in at most"),
        ({"dim": 6}, 0, "no vectors to fit on"),
        ({"dim": 6, "store": "int7"}, 400, "'int7' is none of"),
        ({"dim": 6, "store": "pq7"}, 400, "choose from pq3"),
        ({"dim": 6, "store": "pq3"}, 250, "learns 256 centroids"),
    ],
)
def test_what_cannot_be_fitted_is_refused(settings: dict[str, Any], count: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Compressor.fit(drawn()[:count], **settings)


def test_vectors_that_are_not_finite_never_arrive() -> None:
    test = drawn(count=5)
    test.vectors[2, 3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        test[:4]


def test_no_object_at_all_is_compressed() -> None:
    small = Compressor.fit(drawn(), dim=6, store="int8")
    assert small.apply(drawn()[:0]).vectors.shape == (0, 6)


def test_codes_are_no_parquet(tmp_path: Path) -> None:
    done = Compressor.fit(drawn(), dim=6).apply(drawn())
    with pytest.raises(ValueError, match=r"use \.safetensors"):
        save_embeddings(done, tmp_path / "v.parquet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda own: own.update(store="int9"), "none of float32"),
        (lambda own: own.update(whiten=True), "sha256 is another"),
        (lambda own: own.update(projections=4), "mean-3"),
        (lambda own: own.update(model="{}"), "not a description of a model"),
        (lambda own: own.pop("sha256"), "sha256"),
    ],
)
def test_a_changed_file_is_refused(change: Any, message: str, tmp_path: Path) -> None:
    from safetensors import safe_open

    path = tmp_path / "c.safetensors"
    Compressor.fit(drawn(), dim=6, store="int8").save(path)
    with safe_open(path, framework="np") as file:
        about = json.loads(file.metadata()["promptreid"])
    own = json.loads(about["compressor"])
    change(own)
    save_file(load_file(path), path, metadata={"promptreid": json.dumps({**about, "compressor": json.dumps(own)})})
    with pytest.raises(ValueError, match=rf"c\.safetensors: not a compressor.*{message}"):
        Compressor.load(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    small = Compressor.fit(drawn(), dim=6)
    with pytest.raises(ValueError, match=r"end in \.safetensors"):
        small.save(tmp_path / "c.npz")
    with pytest.raises(FileNotFoundError, match="no such compressor"):
        Compressor.load(tmp_path / "c.safetensors")
    save_embeddings(drawn(), tmp_path / "v.safetensors")
    with pytest.raises(ValueError, match="holds embeddings, not compressor"):
        Compressor.load(tmp_path / "v.safetensors")
