"""Storage loses as much as it says, and nothing the second time."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid.retrieval.compression.storage import FloatStorage, fit_storage, storage_of

NAMES = ("float32", "float16", "int8", "pq3", "pq8")


def drawn(count: int = 400, width: int = 8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, width)) * np.linspace(1, 0.01, width)).astype(np.float32)


def fitted(name: str, *parts: np.ndarray) -> Any:
    if name.startswith("pq"):
        pytest.importorskip("faiss")
    return fit_storage(name, parts or (drawn(),))


def error(name: str, vectors: np.ndarray) -> float:
    storage = fitted(name, vectors)
    return float(((storage.decode(storage.encode(vectors)) - vectors) ** 2).mean())


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3))
def test_int8_is_off_by_half_a_step_of_its_column(seed: int, scale: float) -> None:
    train, test = (scale * drawn(100, 8, own) for own in (seed, seed + 1))
    storage = fitted("int8", train)
    steps = np.abs(train).max(0) / 127
    for vectors in (train, np.clip(test, -127 * steps, 127 * steps)):
        off = np.abs(storage.decode(storage.encode(vectors)) - vectors)
        assert (off <= steps * (0.5 + 1e-4)).all()
    assert (np.abs(storage.decode(storage.encode(1000 * train))) <= 127 * steps * (1 + 1e-6)).all()


def test_float16_is_off_by_a_2048th() -> None:
    vectors = drawn()
    storage = fitted("float16")
    off = np.abs(storage.decode(storage.encode(vectors)) - vectors)
    assert (off <= np.abs(vectors) / 2048 + 1e-7).all() and off.any()
    np.testing.assert_array_equal(fitted("float32").encode(vectors), vectors)


def test_a_product_quantiser_takes_the_nearest_centroids() -> None:
    vectors = drawn(600)
    storage = fitted("pq3", vectors)
    codes = storage.encode(vectors[:50])
    assert codes.shape == (50, 3) and storage.bounds.tolist() == [0, 3, 6, 8]
    for row, own in zip(vectors[:50], codes, strict=True):
        for code, start, stop in zip(own, storage.bounds[:-1], storage.bounds[1:], strict=True):
            distances = [float(((row[start:stop] - c[start:stop]) ** 2).sum()) for c in storage.codebook]
            assert distances[code] == pytest.approx(min(distances), rel=1e-5)
            np.testing.assert_array_equal(storage.decode(own[None])[0, start:stop], storage.codebook[code, start:stop])


def test_more_bytes_lose_less() -> None:
    pytest.importorskip("faiss")
    vectors = drawn(1500)
    losses = [error(name, vectors) for name in ("pq1", "pq2", "pq4", "pq8")]
    assert losses == sorted(losses, reverse=True) and losses[0] > 10 * losses[-1]
    assert error("float32", vectors) == 0 < error("float16", vectors) < error("int8", vectors) < losses[1]


@pytest.mark.parametrize("name", NAMES)
def test_what_was_decoded_is_kept_as_it_is(name: str) -> None:
    storage, vectors = fitted(name), drawn(300, seed=5)
    once = storage.decode(storage.encode(vectors))
    assert storage.encode(vectors).shape[1] * storage.dtype.itemsize == storage.bytes_of(8)
    np.testing.assert_array_equal(storage.decode(storage.encode(once)), once)
    again = storage_of(storage.name, storage.arrays())
    np.testing.assert_array_equal(again.encode(vectors), storage.encode(vectors))


def test_parts_have_bytes_of_their_own() -> None:
    storage = fitted("pq5", drawn(300, 4), drawn(300, 6))
    assert storage.name == "pq5" and storage.bounds.tolist() == [0, 2, 3, 4, 7, 10]


def test_a_column_without_values_is_no_division_by_zero() -> None:
    storage = fitted("int8", np.zeros((5, 2), np.float32), np.zeros((0, 1), np.float32))
    assert storage.decode(storage.encode(np.zeros((1, 3), np.float32))).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("name", "parts", "message"),
    [
        ("int4", [drawn()], "'int4' is none of float32, float16, int8, and pqM"),
        ("pq0", [drawn()], "'pq0' is none"),
        ("pq9", [drawn()], "from pq1, a byte for each part, to pq8"),
        ("pq1", [drawn(), drawn()], "from pq2"),
        ("pq4", [drawn(255)], "learns 256 centroids, and there are 255 vectors"),
    ],
)
def test_what_cannot_be_fitted_is_refused(name: str, parts: list[np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_storage(name, parts)


def test_numbers_beyond_float16_are_refused() -> None:
    with pytest.raises(ValueError, match="up to 65504"):
        FloatStorage("float16").encode(np.full((1, 2), 1e6, np.float32))


def test_fitting_a_quantiser_needs_faiss_and_using_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = fitted("pq3")
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert storage.decode(storage.encode(drawn())).shape == (400, 8)
    with pytest.raises(ValueError, match=r"pip install 'promptreid\[search\]'"):
        fit_storage("pq3", [drawn()])


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("int8", {}),
        ("int8", {"scales": np.zeros(3, np.float32)}),
        ("pq2", {"codebook": np.zeros((256, 4), np.float32)}),
        ("pq2", {"codebook": np.zeros((255, 4), np.float32), "bounds": np.array([0, 2, 4])}),
        ("pq2", {"codebook": np.zeros((256, 4), np.float32), "bounds": np.array([0, 2, 5])}),
        ("pq2", {"codebook": np.zeros((256, 4), np.float32), "bounds": np.array([0, 4, 4])}),
        ("pq2", {"codebook": np.zeros((256, 4), np.float32), "bounds": np.array([0, 1, 2, 4])}),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="expected"):
        storage_of(name, arrays)
