"""Ranks, AP and INP against a twin that sorts, and the properties that sorting codes lack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from twin import Outcome, rank_all

from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.ranking import counting
from promptreid.evaluation.ranking import exact as ranking
from promptreid.evaluation.ranking.distances import FeatureDistances, GivenDistances
from promptreid.evaluation.ranking.exact import (
    LEVELS,
    RULES,
    Ranks,
    rank_distances,
    rank_features,
    rank_subsets,
)

Case = dict[str, np.ndarray]


@st.composite
def cases(draw: Any, ties: bool = True) -> Case:
    """A small problem; with ``ties`` the distances take few values, negative ones among them."""
    num_q, num_g = draw(st.integers(1, 7)), draw(st.integers(1, 25))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = (num_q, num_g)
    distances = (
        random.integers(-2, 3, size) / 4 if ties else random.permuted(np.arange(size[0] * size[1])).reshape(size)
    )
    ids = draw(st.integers(1, 6))
    return {
        "distances": distances.astype(np.float32),
        "q_pids": random.integers(0, ids, num_q),
        "g_pids": random.integers(0, ids, num_g),
        "q_camids": random.integers(0, 3, num_q),
        "g_camids": random.integers(0, 3, num_g),
    }


def outcomes(ranks: Ranks) -> list[Outcome]:
    columns = (ranks.first, ranks.average_precision, ranks.inverse_penalty, ranks.num_matches, ranks.num_kept)
    return [Outcome(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def assert_same(found: Ranks, expected: list[Outcome]) -> None:
    np.testing.assert_allclose(outcomes(found), expected, rtol=1e-12, equal_nan=True)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_equals_the_twin_with_ties(rule: str, level: str, case: Case) -> None:
    assert_same(rank_distances(**case, rule=rule, level=level), rank_all(**case, rule=rule, level=level))


@settings(max_examples=40, deadline=None)
@given(case=cases(), seed=st.integers(0, 99))
def test_query_order_does_not_matter(case: Case, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(case["q_pids"]))
    shuffled = case | {name: case[name][order] for name in ("distances", "q_pids", "q_camids")}
    expected = rank_distances(**case, level="identity").select(order)
    assert_same(rank_distances(**shuffled, level="identity"), outcomes(expected))


@settings(max_examples=40, deadline=None)
@given(case=cases(ties=False), seed=st.integers(0, 99))
def test_gallery_order_does_not_matter_without_ties(case: Case, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(case["g_pids"]))
    shuffled = case | {name: case[name][order] for name in ("g_pids", "g_camids")}
    shuffled["distances"] = case["distances"][:, order]
    assert_same(rank_distances(**shuffled, level="identity"), outcomes(rank_distances(**case, level="identity")))


def test_equal_distances_rank_by_gallery_index() -> None:
    ranks = rank_distances(np.zeros((1, 4)), [1], [0, 1, 0, 1], [0], [1, 1, 1, 1])
    assert outcomes(ranks) == [Outcome(2, (1 / 2 + 2 / 4) / 2, 2 / 4, 2, 4)]


def test_identities_count_once_and_by_their_nearest_image() -> None:
    # Ids in ranked order: 7 7 8 7 5 8 5; identity list 7 8 5.
    ranks = rank_distances(np.arange(7.0)[None], [5], [7, 7, 8, 7, 5, 8, 5], [0], [1] * 7, level="identity")
    assert ranks.first.tolist() == [3]
    assert ranks.average_precision.tolist() == pytest.approx([(1 / 5 + 2 / 7) / 2])


def test_a_tie_between_identities_goes_to_the_lower_index() -> None:
    for g_pids, expected in (([5, 7], 1), ([7, 5], 2)):
        assert rank_distances(np.array([[0.5, 0.5]]), [5], g_pids, [0], [1, 1], level="identity").first == [expected]


def test_rules_hide_what_they_should() -> None:
    case: Any = {
        "distances": np.array([[0.1, 0.2, 0.3, 0.4]]),
        "q_pids": [1],
        "g_pids": [1, 2, 2, 1],
        "q_camids": [3],
        "g_camids": [3, 3, 4, 4],
    }
    seen = {rule: rank_distances(**case, rule=rule) for rule in RULES}
    assert {rule: (int(r.first[0]), int(r.num_kept[0])) for rule, r in seen.items()} == {
        "camera": (3, 3),
        "location": (2, 2),
        "none": (1, 4),
    }


def test_queries_without_a_match_are_marked() -> None:
    ranks = rank_distances(np.ones((3, 2)), [1, 2, 9], [1, 2], [0, 0, 0], [0, 1])
    assert ranks.valid.tolist() == [False, True, False]
    assert ranks.first.tolist() == [0, 2, 0] and np.isnan(ranks.average_precision).tolist() == [True, False, True]


def test_an_empty_side_is_refused() -> None:
    with pytest.raises(ValueError, match="gallery: there is no image in it"):
        rank_distances(np.empty((2, 0)), [1, 2], [], [0, 0], [])
    with pytest.raises(ValueError, match="query: there is no image in it"):
        rank_features(np.empty((0, 4)), np.ones((3, 4)), [], [1, 2, 3], [], [0, 0, 0])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("level", LEVELS)
def test_block_part_and_tile_sizes_do_not_matter(level: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    query, gallery = (
        random.integers(-3, 4, (31, 5)).astype(np.float32),
        random.integers(-3, 4, (97, 5)).astype(np.float32),
    )
    labels = FeatureSet(None, random.integers(0, 9, 31), random.integers(0, 3, 31))
    pool = FeatureSet(None, random.integers(0, 9, 97), random.integers(0, 3, 97))
    distances = FeatureDistances(query, gallery)
    expected = rank_subsets(distances, labels, pool, rule="camera", level=level)[0]
    assert_same(expected, rank_all(distances.rows(torch.arange(31)).numpy(), labels.pids, pool.pids, labels.camids,
                                   pool.camids, level=level))  # fmt: skip
    monkeypatch.setitem(counting._TILE_ELEMENTS, "cpu", 40)
    monkeypatch.setitem(counting._TILE_COLUMNS, "cpu", 10)
    monkeypatch.setattr(counting, "_TIE_ELEMENTS", 200)
    monkeypatch.setattr(ranking, "_PART_ELEMENTS", 300)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for block_rows in (1, 7, 31):
            found = rank_subsets(distances, labels, pool, rule="camera", level=level, block_rows=block_rows)[0]
            assert outcomes(found)[0].first == outcomes(expected)[0].first
            assert_same(found, outcomes(expected))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_subsets_equal_separate_galleries() -> None:
    random = np.random.default_rng(1)
    distances = random.integers(0, 9, (12, 40)).astype(np.float64)
    query = FeatureSet(None, random.integers(0, 5, 12), random.integers(0, 2, 12))
    pool = FeatureSet(None, random.integers(0, 5, 40), random.integers(0, 2, 40))
    subsets = [random.permutation(40)[:9], random.permutation(40)[:17]]
    found = rank_subsets(GivenDistances(distances), query, pool, rule="camera", level="identity", subsets=subsets)
    for ranks, subset in zip(found, subsets, strict=True):
        alone = rank_all(distances[:, subset], query.pids, pool.pids[subset], query.camids, pool.camids[subset],
                         level="identity")  # fmt: skip
        assert_same(ranks, alone)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_features_of_any_precision_rank_in_float32(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    query, gallery = (torch.randn(n, 16, generator=generator).to(dtype) for n in (6, 30))
    labels: Any = ([0, 1, 2] * 2, [0, 1, 2] * 10, [0] * 6, [1] * 30)
    expected = rank_features(query.float(), gallery.float(), *labels, metric="cosine")
    assert_same(rank_features(query, gallery, *labels, metric="cosine"), outcomes(expected))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("level", LEVELS)
def test_a_gpu_ranks_alike(level: str) -> None:
    generator = torch.Generator().manual_seed(0)
    query, gallery = (torch.randint(-3, 4, (n, 5), generator=generator).float() for n in (40, 300))
    labels: Any = (torch.arange(40) % 7, torch.arange(300) % 9, torch.arange(40) % 3, torch.arange(300) % 2)
    found = rank_features(query.cuda(), gallery.cuda(), *labels, level=level)
    assert_same(found, outcomes(rank_features(query, gallery, *labels, level=level)))


def test_given_float64_distances_keep_their_precision() -> None:
    # The two differ by less than float32 resolves; ranked in float32 the wrong one would win by its index.
    ranks = rank_distances(np.array([[0.5 + 1e-12, 0.5]]), [1], [0, 1], [0], [1, 1])
    assert ranks.first.tolist() == [1]


def test_golden_case_of_the_multi_modal_field() -> None:
    i, j = np.arange(40)[:, None], np.arange(200)
    g_pids, q_pids = (j * j + 3 * j) % 17, 11 * i[:, 0] % 17
    distances = (7919 * i * i + 104729 * j * j + 3571 * i * j) % 1000003 + 60000.5 * (q_pids[:, None] != g_pids)
    cameras, scenes = (3 * i[:, 0] % 4, (5 * j + j // 9) % 4), (i[:, 0] // 5 % 6, j // 7 % 6)
    for keys, rule, rank1, mean_ap in (
        (cameras, "camera", 0.681818, 0.186153476),
        (scenes, "camera", 0.727273, 0.192838841),
        (cameras, "none", 0.772727, 0.206380662),
    ):
        ranks = rank_distances(distances, q_pids, g_pids, *keys, rule=rule)
        assert ranks.valid.sum() == 22
        assert (ranks.first[ranks.valid] == 1).mean() == pytest.approx(rank1, abs=5e-7)
        assert ranks.average_precision[ranks.valid].mean() == pytest.approx(mean_ap, abs=5e-10)


def test_inputs_are_not_changed() -> None:
    random = np.random.default_rng(2)
    case: Any = {
        "distances": random.random((4, 9)).astype(np.float32),
        "q_pids": np.arange(4) % 2,
        "g_pids": np.arange(9) % 3,
        "q_camids": np.zeros(4, dtype=int),
        "g_camids": np.arange(9) % 2,
    }
    copies = {name: value.copy() for name, value in case.items()}
    for value in case.values():
        value.flags.writeable = False
    for rule in RULES:
        rank_distances(**case, rule=rule, level="identity")
    for name, value in case.items():
        np.testing.assert_array_equal(value, copies[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q_pids": [1]}, "q_pids: 1 entries"),
        ({"g_camids": [1, 2]}, "g_camids: 2 entries"),
        ({"g_pids": [0.5, 1.0, 2.0]}, "g_pids: expected integers"),
        ({"q_camids": [[0], [0]]}, "q_camids: expected a flat list"),
        ({"distances": np.ones(3)}, "distances: expected a real Q x G matrix"),
        ({"distances": np.array([[1, 2, np.nan], [1, 2, 3]])}, "distances: NaN or infinite"),
        ({"distances": np.array([[1, 2, 3], [1, 2, np.inf]])}, "distances: NaN or infinite"),
        ({"distances": np.array([[1, 2, 3], [np.nan, 2, 3]]), "q_pids": [1, 9]}, "distances: NaN or infinite"),
        ({"rule": "market"}, "rule: 'market' is not one of"),
        ({"level": "pixel"}, "level: 'pixel' is not one of"),
    ],
)
def test_bad_input_names_the_argument(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"distances": np.ones((2, 3)), "q_pids": [1, 2], "g_pids": [1, 2, 3], "q_camids": [0, 0],
                            "g_camids": [1, 1, 1]}  # fmt: skip
    with pytest.raises(ValueError, match=message):
        rank_distances(**good | change)
