"""The heads of ranked lists against a walk down the sorted gallery, and against the ranks that are scored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid.evaluation import FeatureSet, KReciprocal, LLCMProtocol, MarketProtocol, SYSUProtocol
from promptreid.evaluation.protocols.swapped import Swapped
from promptreid.evaluation.ranking.distances import GivenDistances
from promptreid.evaluation.ranking.rank_lists import nearest_visible


def labels(count: int, seed: int) -> FeatureSet:
    random = np.random.default_rng(seed)
    return FeatureSet(None, random.integers(0, 5, count), random.integers(0, 3, count))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 700)),
    k=st.integers(1, 12),
    rule=st.sampled_from(["camera", "location", "none"]),
    levels=st.sampled_from([3, 10**6]),
)
def test_equals_a_walk_down_the_sorted_gallery(
    seed: int, sizes: tuple[int, int], k: int, rule: str, levels: int
) -> None:
    distances = np.random.default_rng(seed).integers(0, levels, sizes).astype(np.float32)
    query, gallery = labels(sizes[0], seed + 1), labels(sizes[1], seed + 2)
    found = nearest_visible(GivenDistances(distances), query, gallery, k, rule)
    for row, pid, camid, listed in zip(distances, query.pids, query.camids, found, strict=True):
        expected = []
        for _, column in sorted((value, column) for column, value in enumerate(row)):
            same_camera = gallery.camids[column] == camid
            hidden = {"camera": same_camera and gallery.pids[column] == pid, "location": same_camera, "none": False}
            expected += [] if hidden[rule] else [column]
        assert listed.tolist() == (expected + [-1] * k)[:k]


def features(images: FeatureSet, seed: int) -> FeatureSet:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(6, 8, generator=torch.Generator().manual_seed(9))
    values = centres[torch.from_numpy(images.pids)] + torch.randn(len(images), 8, generator=generator)
    names = np.array([f"{seed} {row}" for row in range(len(images))])
    return FeatureSet(values, images.pids, images.camids, names=names)


SYSU = (
    features(FeatureSet(None, np.arange(6).repeat(4), np.tile([2, 5], 12)), 0),
    features(FeatureSet(None, np.arange(6).repeat(12), np.tile([0, 1, 3, 4], 18)), 1),
)
MARKET = (features(labels(20, 3), 0), features(labels(90, 4), 1))


@pytest.mark.parametrize("refinement", [{}, {"rerank": KReciprocal(5, 2)}])
@pytest.mark.parametrize(
    ("protocol", "sets"),
    [
        (SYSUProtocol(), SYSU),
        (MarketProtocol(), MARKET),
        (MarketProtocol(exclude="nothing"), MARKET),
        (LLCMProtocol("visible-infrared", "llcm-readme-2023"), SYSU),
        (Swapped(LLCMProtocol("visible-infrared")), SYSU),
    ],
)
def test_the_first_match_stands_where_the_protocol_says(protocol, sets, refinement: dict) -> None:
    lists = protocol.rank_lists(*sets, 100, **refinement)
    ranks = protocol.evaluate(*sets, **refinement).ranks[0]
    assert len(lists.columns) == len(ranks.first) == len(lists.query)
    for query, (first, kept) in enumerate(zip(ranks.first, ranks.num_kept, strict=True)):
        columns, matches = lists.row(query)
        assert len(columns) == kept
        pids = lists.gallery.pids[columns].tolist()
        pids = list(dict.fromkeys(pids)) if lists.level == "identity" else pids
        own = lists.query.pids[query]
        assert first == (pids.index(own) + 1 if own in pids else 0)
        assert matches.sum() == ranks.num_matches[query]
    assert {name.split()[0] for name in lists.query.names} != {name.split()[0] for name in lists.gallery.names}


def test_refuses() -> None:
    sets = labels(2, 0), labels(3, 1)
    with pytest.raises(ValueError, match="k: 0 is below 1"):
        nearest_visible(GivenDistances(np.ones((2, 3))), *sets, 0)
    with pytest.raises(ValueError, match="gallery labels: 3 entries"):
        nearest_visible(GivenDistances(np.ones((2, 4))), *sets, 1)
    broken = FeatureSet(np.full((3, 4), np.nan), sets[1].pids, sets[1].camids)
    with pytest.raises(ValueError, match=r"gallery: the features hold NaN or infinite values in rows 0, 1, 2"):
        MarketProtocol().rank_lists(FeatureSet(np.ones((2, 4)), sets[0].pids, sets[0].camids), broken, 2)
