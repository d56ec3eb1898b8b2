"""A protocol on some rows is the protocol on a smaller data set; and what a protocol says before there are features."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreid.evaluation import FeatureSet, LLCMProtocol, MarketProtocol, SYSUProtocol
from promptreid.evaluation.protocols import Protocol, Selected, Swapped

ROWS = np.array([1, 4, 5, 6, 9, 10, 11]), np.array([0, 2, 3, 5, 7, 8, 12, 13, 14])


def sets(seed: int = 0) -> tuple[FeatureSet, FeatureSet]:
    random = np.random.default_rng(seed)
    return tuple(
        FeatureSet(random.random((n, 3), np.float32), np.arange(n) % 3, random.integers(0, 4, n)) for n in (12, 15)
    )


@pytest.mark.parametrize("protocol", [MarketProtocol(), LLCMProtocol(trials=3), Swapped(MarketProtocol())])
def test_all_that_it_says_is_about_its_rows(protocol: Protocol | Swapped) -> None:
    query, gallery = sets()
    selected, alone = Selected(protocol, *ROWS), (query.select(ROWS[0]), gallery.select(ROWS[1]))
    assert selected.name == protocol.name
    distances = np.random.default_rng(1).random((12, 15)).astype(np.float32)
    for found, expected in (
        (selected.evaluate(query, gallery, "cosine"), protocol.evaluate(*alone, "cosine")),
        (
            selected.evaluate_distances(distances, query, gallery),
            protocol.evaluate_distances(distances[np.ix_(*ROWS)], *alone),
        ),
    ):
        assert [trial.as_dict() for trial in found.trials] == [trial.as_dict() for trial in expected.trials]
    assert selected.verify(query, gallery, fprs=(0.1,)).line() == protocol.verify(*alone, fprs=(0.1,)).line()
    for found, expected in zip(selected.trial_sets(query, gallery), protocol.trial_sets(*alone), strict=True):
        assert [one.pids.tolist() for one in found] == [one.pids.tolist() for one in expected]


def test_the_check_is_of_its_rows() -> None:
    query, gallery = sets()
    Selected(MarketProtocol(), *ROWS).check(query, gallery)
    same = np.flatnonzero(query.pids == 0), np.flatnonzero(gallery.pids == 1)
    with pytest.raises(ValueError, match="market1501: none of the 4 queries has a match that it may see"):
        Selected(MarketProtocol(), *same).check(query, gallery)
    with pytest.raises(ValueError, match="none of the 5 queries has a match"):
        Selected(Swapped(MarketProtocol()), *same).check(query, gallery)


def test_labels_that_do_not_fit_are_told_without_features() -> None:
    labels = FeatureSet(None, np.array([1, 2]), np.array([0, 1]))
    with pytest.raises(ValueError, match="camid 0 is not an infrared camera of SYSU-MM01"):
        SYSUProtocol().check(labels, labels)
    with pytest.raises(ValueError, match="scenes are missing"):
        MarketProtocol("m", "scene").check(labels, labels)


@given(seed=st.integers(0, 10**6), exclude=st.sampled_from(["camera", "nothing"]))
def test_the_check_refuses_exactly_what_cannot_be_scored(seed: int, exclude: str) -> None:
    random = np.random.default_rng(seed)
    query, gallery = (FeatureSet(None, random.integers(0, 4, n), random.integers(0, 2, n)) for n in (2, 3))
    protocol = MarketProtocol(exclude=exclude)
    errors = []
    for test in (protocol.check, lambda *labels: protocol.evaluate_distances(np.zeros((2, 3)), *labels)):
        try:
            test(query, gallery)
        except ValueError as error:
            errors.append(str(error))
    assert len(errors) in (0, 2)
