"""Streaming neighbours against a stable sort of the whole matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid.evaluation.ranking import nearest as search
from promptreid.evaluation.ranking.distances import compute_distances
from promptreid.evaluation.ranking.nearest import Nearest, topk


def features(rows: int, seed: int, dim: int = 16) -> torch.Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("k", [1, 7, 900])
def test_equals_a_sort(metric: str, k: int) -> None:
    query, gallery = features(37, 0), features(900, 1)
    distances, order = compute_distances(query, gallery, metric).sort(dim=1, stable=True)
    found = topk(query, gallery, k, metric)
    torch.testing.assert_close(found.distances, distances[:, :k], rtol=1e-5, atol=1e-5)
    assert (found.indices == order[:, :k]).float().mean() > 0.999  # a block may round the last bit in another way


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), k=st.integers(1, 9), widths=st.lists(st.integers(1, 130), min_size=1, max_size=6)
)
def test_ties_go_to_the_lower_index_however_the_gallery_is_cut(seed: int, k: int, widths: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randint(-2, 3, (5, sum(widths)), generator=generator).float()
    nearest = Nearest(5, k, torch.device("cpu"))
    start = 0
    for tile in matrix.split(widths, dim=1):
        nearest.add(slice(0, 2), start, tile[:2].contiguous())
        nearest.add(slice(2, 5), start, tile[2:].contiguous())
        start += tile.shape[1]
    distances, order = matrix.sort(dim=1, stable=True)
    full = min(k, matrix.shape[1])
    assert torch.equal(nearest.distances[:, :full], distances[:, :k])
    assert torch.equal(nearest.indices[:, :full], order[:, :k])
    assert (nearest.indices[:, full:] == -1).all() and (nearest.distances[:, full:] == torch.inf).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_block_sizes_and_threads_do_not_matter(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = (
        torch.randint(-2, 3, (n, 3), generator=torch.Generator().manual_seed(n)).float() for n in (23, 700)
    )
    expected = topk(query, gallery, 20)
    monkeypatch.setattr(search, "_QUERY_ROWS", 5)
    monkeypatch.setattr(search, "_FIRST_COLUMNS", 3)
    monkeypatch.setattr(search, "_MOST_COLUMNS", 128)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = topk(query, gallery, 20)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found.indices, expected.indices) and torch.equal(found.distances, expected.distances)


def test_a_gallery_that_gets_nearer_and_nearer() -> None:
    gallery = torch.arange(2000.0, 0, -1)[:, None]
    assert topk(torch.zeros(3, 1), gallery, 3).indices.tolist() == [[1999, 1998, 1997]] * 3


def test_a_mapped_gallery_is_read_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = features(1000, 2)
    np.save(tmp_path / "gallery.npy", gallery.numpy())
    mapped = np.load(tmp_path / "gallery.npy", mmap_mode="r", allow_pickle=False)
    rows: list[int] = []
    original = search.as_tensor

    def spy(values: Any) -> torch.Tensor:
        rows.append(len(values))
        return original(values)

    monkeypatch.setattr(search, "as_tensor", spy)
    found = topk(features(4, 3), mapped, 5)
    assert max(rows) <= 512 and sum(rows) == 1000 + 4 + 4
    assert torch.equal(found.indices, topk(features(4, 3), gallery, 5).indices)


def test_bad_input_names_the_argument_and_the_rows() -> None:
    query, gallery = features(3, 0), features(400, 1)
    for k in (0, 401):
        with pytest.raises(ValueError, match=r"k: .* use 1 to 400"):
            topk(query, gallery, k)
    gallery[[300, 390]] = torch.nan
    with pytest.raises(ValueError, match=r"gallery: .* in rows 300, 390$"):
        topk(query, gallery, 5)
    with pytest.raises(ValueError, match="query: 16 features per image, gallery: 8"):
        topk(query, features(5, 1, dim=8), 5)
