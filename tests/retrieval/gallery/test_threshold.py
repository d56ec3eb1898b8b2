"""A threshold keeps the rate of false accepts that it was asked for, and says what it was measured on."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from vectors import description, vectors_of

import promptreid
from promptreid.retrieval.embeddings import scores
from promptreid.retrieval.gallery.threshold import Threshold, calibrate

RGB, TIR = (True, False, False), (False, False, True)


@pytest.mark.parametrize("space", ["whole", "parts", "shared"])
def test_other_identities_are_falsely_accepted_at_the_rate_asked_for(space: str) -> None:
    model = description(space, width=24)
    people = np.arange(600) % 200
    found = calibrate(vectors_of(model, people, 1), people, 0.01)
    others = vectors_of(model, 200 + np.arange(600) % 200, 2)
    every = scores(others, others)[np.not_equal.outer(people, people)]
    assert 0.005 < (every >= found.score).mean() < 0.02
    assert found.true_accept_rate is not None and found.true_accept_rate > 0.5
    assert (found.identities, found.pairs) == (200, 600 * 597 // 2)


@pytest.mark.parametrize("case", ["one side", "two sides", "other cameras", "mixed bands"])
def test_it_is_the_score_that_so_many_impostors_reach(case: str) -> None:
    """The slow twin goes through all pairs."""
    model = description("parts" if case == "mixed bands" else "whole")
    rng = np.random.default_rng(0)
    people, others = rng.integers(0, 8, 32), rng.integers(0, 8, 24)
    present = [RGB if row % 2 else TIR for row in range(32)] if case == "mixed bands" else None
    queries, gallery = vectors_of(model, people, 1, present), vectors_of(model, others, 2)
    options: dict[str, Any] = {"other_cameras": case == "other cameras"}
    if case == "two sides":
        options |= {"gallery": gallery, "gallery_identities": others}
    else:
        gallery, others = queries, people
    found = calibrate(queries, people, 0.05, **options)
    impostors, genuine = [], []
    # Of one band or of all: the vectors of the pairs that can be compared are compared whole.
    every = queries.vectors @ gallery.vectors.T
    for row in range(32):
        for column in range(len(others) if case == "two sides" else row):
            if case == "other cameras" and queries.cameras[row] == gallery.cameras[column]:
                continue
            if (queries.present[row] != gallery.present[column]).any():
                continue
            score = every[row, column]
            (genuine if people[row] == others[column] else impostors).append(score)
    assert found.pairs == len(impostors)
    assert int((np.array(impostors) >= found.score - 1e-6).sum()) in (
        int(0.05 * len(impostors)),
        int(0.05 * len(impostors)) + 1,
    )
    assert found.true_accept_rate == pytest.approx(np.mean(np.array(genuine) >= found.score), abs=0.03)


def test_few_identities_are_told_apart_from_many(caplog: pytest.LogCaptureFixture) -> None:
    """The interval is that of a jackknife that leaves each identity's images out and counts again."""
    model = description("whole")
    for identities, certain in ((12, False), (300, True)):
        people = np.arange(600) % identities
        mine = vectors_of(model, people, 1)
        caplog.clear()
        found = calibrate(mine, people, 0.01)
        assert found.others is not None
        assert (found.others[1] < 0.02) == certain
        assert certain or f"calibrated on {identities} identities, too few" in caplog.text
        assert not certain or not caplog.text
        assert f"expect {found.others[0]:.2g} to {found.others[1]:.2g} of other identities" in str(found)
    every = scores(mine, mine)[np.triu_indices(600, 1)] >= found.score
    left, right = people[np.triu_indices(600, 1)[0]], people[np.triu_indices(600, 1)[1]]
    rates = [
        (every & (left != right) & (left != out) & (right != out)).sum()
        / ((left != right) & (left != out) & (right != out)).sum()
        for out in range(300)
    ]
    rate = (every & (left != right)).sum() / (left != right).sum()
    error = np.sqrt(299 / 300 * ((np.array(rates) - np.mean(rates)) ** 2).sum())
    assert found.others == pytest.approx((rate * np.exp(-1.96 * error / rate), rate * np.exp(1.96 * error / rate)))


def test_other_identities_stay_within_the_interval() -> None:
    """Few identities with many images each: 40 draws, of which about 38 are to be covered."""
    model = description("whole", width=16)
    covered = 0
    for draw in range(40):
        people = np.arange(300) % 30
        found = calibrate(vectors_of(model, 1000 * draw + people, draw), people, 0.02)
        strangers = vectors_of(model, 1000 * draw + 30 + np.arange(300), 99)
        others = scores(strangers, strangers)[np.triu_indices(300, 1)]
        assert found.others is not None
        covered += found.others[0] <= (others >= found.score).mean() <= found.others[1]
    assert covered >= 34


def test_more_than_the_pairs_tell_is_refused() -> None:
    model = description()
    mine = vectors_of(model, range(20))
    with pytest.raises(
        ValueError, match=r"0.001 cannot be told from 190 pairs.*smallest rate that they allow is 0.053"
    ):
        calibrate(mine, range(20), 0.001)
    with pytest.raises(ValueError, match="0 pairs"):
        calibrate(mine, [1] * 20, 0.1)
    for far in (0, 1, -1, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            calibrate(mine, range(20), far)
    with pytest.raises(ValueError, match="identities: 3 entries"):
        calibrate(mine, [1, 2, 3], 0.1)
    with pytest.raises(ValueError, match="both or neither"):
        calibrate(mine, range(20), 0.1, gallery=mine)


def test_its_text_says_how_it_came_about() -> None:
    model = description()
    people = np.arange(60) % 20
    text = str(calibrate(vectors_of(model, people, 1), people, 0.01, other_cameras=True))
    for part in ("false accept rate of 0.01 a pair", "of 20 identities", "of different cameras", "RGB+NIR+TIR",
                 "1-(1-far)^N: 63.4 % for N = 100"):  # fmt: skip
        assert part in text
    alone = calibrate(vectors_of(model, range(40)), range(40), 0.1)
    assert alone.true_accept_rate is None and "no pair of one identity" in str(alone)
    assert Threshold.from_json(alone.to_json()) == alone
    earlier = json.loads(alone.to_json())
    del earlier["others"]
    assert Threshold.from_json(json.dumps(earlier)).others is None
    for broken in ("", "3", "{}", alone.to_json().replace('"far": 0.1', '"far": 2')):
        with pytest.raises(ValueError, match="not a threshold"):
            Threshold.from_json(broken)


def test_queries_are_known_from_the_threshold_on() -> None:
    model = description("whole")
    people = np.arange(120) % 30
    gallery = vectors_of(model, people, 1)
    index = promptreid.GalleryIndex(model)
    index.add(gallery)
    queries = vectors_of(model, [0, 1, 40, 41], 2)
    assert index.search(queries).known is None
    found = index.calibrate(gallery, people, 0.005)
    assert index.threshold == found
    for rerank in (None, 20):
        assert index.search(queries, rerank=rerank).known == (True, True, False, False)
    assert index.search(queries, cameras=[99]).known == (False,) * 4
