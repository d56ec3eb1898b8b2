"""Conditions, and sides that are made of features extracted once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from promptreid.evaluation import FeatureSet, MarketProtocol
from promptreid.evaluation.missing.conditions import (
    Condition,
    Side,
    evaluate_condition,
    evaluate_sides,
    missing_conditions,
    short_name,
    side_of,
)

TRIPLES = ("visible", "near_infrared", "thermal_infrared")
WIDTH = 4
SLICES = [slice(number * WIDTH, (number + 1) * WIDTH) for number in range(3)]
PROTOCOL = MarketProtocol("toy")


def samples(count: int = 24, seed: int = 0, incomplete: float = 0.0) -> tuple[FeatureSet, np.ndarray]:
    """Samples of six identities, each with one modality at least; parts of missing images are zero."""
    random = np.random.default_rng(seed)
    pids = np.arange(count) % 6
    centres = np.random.default_rng(99).standard_normal((6, 3 * WIDTH))
    features = (centres[pids] + random.standard_normal((count, 3 * WIDTH))).astype(np.float32)
    present = random.random((count, 3)) >= incomplete
    present[np.arange(count), random.integers(0, 3, count)] = True
    features *= present.repeat(WIDTH, axis=1)
    return FeatureSet(torch.from_numpy(features), pids, np.arange(count) // 6 % 2, scenes=np.arange(count)), present


def masked(images: FeatureSet, kept: tuple[int, ...]) -> torch.Tensor:
    """What a model with independent parts gives without the other modalities."""
    features = images.features.clone()
    for number in range(3):
        if number not in kept:
            features[:, SLICES[number]] = 0
    return features


def test_the_fields_columns() -> None:
    conditions = missing_conditions(TRIPLES)
    assert [condition.name for condition in conditions] == [
        "full",
        "M(RGB)",
        "M(NIR)",
        "M(TIR)",
        "M(RGB+NIR)",
        "M(RGB+TIR)",
        "M(NIR+TIR)",
    ]
    assert [condition.query for condition in conditions] == [(0, 1, 2), (1, 2), (0, 2), (0, 1), (2,), (1,), (0,)]
    assert all(condition.query == condition.gallery for condition in conditions)
    pair = missing_conditions(TRIPLES[:2])
    assert [condition.name for condition in pair] == ["full", "M(RGB)", "M(NIR)"]
    with pytest.raises(ValueError, match=r"of \('visible',\) none can be missing"):
        missing_conditions(["visible"])


def test_names_of_modalities() -> None:
    names = ("visible", "near_infrared", "thermal_infrared", "infrared", "depth")
    assert [short_name(name) for name in names] == ["RGB", "NIR", "TIR", "IR", "depth"]


def test_different_sides() -> None:
    shared = Condition(TRIPLES, (0, 1), (1, 2))
    assert shared.name == "RGB+NIR -> NIR+TIR"
    assert not shared.disjoint and shared.compared == ((1,), (1,))
    apart = Condition(TRIPLES, (0, 1), (2,))
    assert (apart.query_name, apart.gallery_name) == ("RGB+NIR", "TIR")
    assert apart.disjoint and apart.compared == ((0, 1), (2,))


@pytest.mark.parametrize("kept", [(), (3,), (-1,), (1, 0), (1, 1)])
def test_sides_that_are_no_selection(kept: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^query: .* no selection of the modalities 0\.\.2"):
        Condition(TRIPLES, kept, (0,))
    with pytest.raises(ValueError, match=r"^gallery: "):
        Condition(TRIPLES, (0,), kept)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), incomplete=st.sampled_from([0.0, 0.4]), normalize=st.booleans())
def test_one_extraction_is_as_good_as_another_without_the_modality(
    seed: int, incomplete: float, normalize: bool
) -> None:
    query, gallery = samples(18, seed, incomplete), samples(40, seed + 1, incomplete)
    for condition in [*missing_conditions(TRIPLES), Condition(TRIPLES, (0, 1), (1, 2))]:
        both = (query[1], gallery[1])
        found = evaluate_condition(PROTOCOL, condition, query[0], gallery[0], both, SLICES, normalize=normalize)
        kept = condition.compared[0]
        sides = []
        for images, present in (query, gallery):
            again = masked(images, kept)
            rows = np.array([row for row in range(len(images)) if any(present[row, number] for number in kept)])
            again = F.normalize(again, dim=1) if normalize else again
            sides.append(FeatureSet(again, images.pids, images.camids).select(rows))
        expected = PROTOCOL.evaluate(*sides)
        assert found.mAP == pytest.approx(expected.mAP, abs=1e-6)
        np.testing.assert_allclose(found.cmc, expected.cmc, atol=1e-6)


def test_full_is_the_ordinary_test() -> None:
    (query, q_present), (gallery, g_present) = samples(18), samples(30, 1)
    full = missing_conditions(TRIPLES)[0]
    present = (q_present, g_present)
    found = evaluate_condition(PROTOCOL, full, query, gallery, present, SLICES, normalize=False)
    expected = PROTOCOL.evaluate(query, gallery)
    assert found.mAP == expected.mAP and np.array_equal(found.cmc, expected.cmc)
    assert found.note == "full"


def test_a_side_by_hand() -> None:
    features = torch.tensor([[3.0, 9, 4], [1, 2, 6], [7, 5, 8]])  # what is written for missing images does not count
    present = np.array([[True, True, True], [True, True, False], [False, True, False]])
    images = FeatureSet(features, [7, 8, 9], [0, 1, 0], scenes=[4, 5, 6], names=["a", "b", "c"])
    slices = [slice(0, 1), slice(1, 2), slice(2, 3)]
    side = side_of(images, present, slices, (0, 2))
    assert torch.equal(side.images.features, torch.tensor([[0.6, 0.8], [1.0, 0.0]]))
    assert side.left_out == 1
    assert side.images.pids.tolist() == [7, 8] and side.images.camids.tolist() == [0, 1]
    assert side.images.scenes.tolist() == [4, 5] and side.images.names.tolist() == ["a", "b"]
    raw = side_of(images, present, slices, (0, 2), normalize=False)
    assert torch.equal(raw.images.features, torch.tensor([[3.0, 4.0], [1.0, 0.0]]))


def test_pooled_parts_are_the_mean_of_those_that_are_there() -> None:
    features = torch.tensor([[3.0, 4, 0, 2], [0, 0, 0, 5]])
    present = np.array([[True, True], [False, True]])
    images = FeatureSet(features, [0, 1], [0, 0])
    side = side_of(images, present, [slice(0, 2), slice(2, 4)], (0, 1), pooled=True, normalize=False)
    torch.testing.assert_close(side.images.features, torch.tensor([[0.3, 0.9], [0.0, 1.0]]))
    with pytest.raises(ValueError, match=r"slices: parts of \[1, 3\] values cannot be averaged"):
        side_of(images, present, [slice(0, 1), slice(1, 4)], (0, 1), pooled=True)


def test_sides_without_a_common_modality_find_each_other_in_a_common_space() -> None:
    """Parts that are equal up to their length: every condition is perfect."""
    random = np.random.default_rng(0)
    pids = np.arange(12) % 4
    parts = random.standard_normal((4, WIDTH))[pids]
    features = torch.from_numpy(np.concatenate([parts, 5 * parts, 0.1 * parts], axis=1)).float()
    images, present = FeatureSet(features, pids, np.arange(12)), np.ones((12, 3), dtype=bool)
    for query, gallery in (((0,), (2,)), ((0, 1), (2,))):
        condition = Condition(TRIPLES, query, gallery)
        found = evaluate_condition(PROTOCOL, condition, images, images, (present, present), SLICES)
        assert found.mAP == 1 and found.note == condition.name


def test_samples_with_nothing_left_are_told() -> None:
    (query, _), (gallery, g_present) = samples(12), samples(30, 1)
    q_present = np.ones((12, 3), dtype=bool)
    q_present[:2, 2] = False
    g_present[:] = True
    only_tir = missing_conditions(TRIPLES)[4]
    found = evaluate_condition(PROTOCOL, only_tir, query, gallery, (q_present, g_present), SLICES)
    assert found.num_valid == 10
    left_out = "2 queries and 0 gallery samples without any of these left out"
    assert found.note == f"M(RGB+NIR); {left_out}"
    assert left_out in found.line()
    q_present[:, 2] = False
    with pytest.raises(ValueError, match=r"M\(RGB\+NIR\): none of the 12 query samples has such an image"):
        evaluate_condition(PROTOCOL, only_tir, query, gallery, (q_present, g_present), SLICES)


def test_a_protocols_own_note_stays() -> None:
    class Noted(MarketProtocol):
        def _note(self, gallery: FeatureSet) -> str:
            return "mind this"

    images, present = samples()
    found = evaluate_condition(
        Noted(), missing_conditions(TRIPLES)[1], images, images, (present, present), SLICES, metric="cosine"
    )
    assert found.note == "mind this; M(RGB)"


def test_descriptors_with_nothing_in_common_are_refused() -> None:
    """A coupled model with a place for each modality: all its distances would be equal."""
    images, _ = samples()
    sides = [Side(FeatureSet(masked(images, kept), images.pids, images.camids), 0) for kept in ((0, 1), (2,))]
    with pytest.raises(ValueError, match=r"RGB\+NIR -> TIR: .* no dimension in common"):
        evaluate_sides(PROTOCOL, Condition(TRIPLES, (0, 1), (2,)), *sides)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"present": np.ones((3, 3), dtype=bool)}, "present: 3 entries, but the features has 24"),
        ({"slices": SLICES[:2]}, "slices: 2 entries, but a row of present has 3"),
        ({"images": FeatureSet(None, [0], [0]), "present": np.ones((1, 3), dtype=bool)}, "features are missing"),
    ],
)
def test_refuses(changes: dict[str, Any], message: str) -> None:
    images, present = samples()
    with pytest.raises(ValueError, match=message):
        side_of(**{"images": images, "present": present, "slices": SLICES, "kept": (0,), **changes})
