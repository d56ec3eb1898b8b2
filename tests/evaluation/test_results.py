"""Means, standard deviations, the printed line and the JSON form."""

from __future__ import annotations

import json

import numpy as np
import pytest

from promptreid.evaluation import Results, Trial
from promptreid.evaluation.ranking.exact import Ranks, rank_distances


def ranks(firsts: list[int]) -> Ranks:
    """Queries with these first ranks and one match each among 40 images; 0 is a query without a match."""
    first = np.array(firsts)
    score = np.where(first > 0, 1 / np.maximum(first, 1), np.nan)
    return Ranks(first, score, score, (first > 0).astype(int), np.full(len(first), 40))


def test_trial_averages_the_valid_queries() -> None:
    trial = Trial.of(ranks([1, 2, 0, 4]), max_rank=5)
    np.testing.assert_allclose(trial.cmc, [1 / 3, 2 / 3, 2 / 3, 1, 1])
    assert trial.mAP == trial.mINP == pytest.approx((1 + 1 / 2 + 1 / 4) / 3)
    assert (trial.num_valid, trial.num_invalid) == (3, 1)
    assert trial.chance.rank1 == pytest.approx(1 / 40)


def test_first_matches_beyond_the_curve_are_not_in_it() -> None:
    assert Trial.of(ranks([1, 30]), max_rank=20).cmc.tolist() == [0.5] * 20


def test_the_curve_is_as_long_with_a_tiny_gallery() -> None:
    trial = Trial.of(rank_distances(np.array([[0.1, 0.2]]), [1], [0, 1], [0], [1, 1]))
    assert trial.cmc.tolist() == [0.0] + [1.0] * 49


def test_means_and_sample_deviations_over_trials() -> None:
    result = Results.of("p", [ranks([1, 1, 2, 2]), ranks([1, 1, 1, 2]), ranks([1, 1, 1, 1])])
    assert result.rank(1) == pytest.approx(0.75) and result.sd(1) == pytest.approx(0.25)
    assert result.mAP == pytest.approx(0.875) and result.sd("mAP") == pytest.approx(0.125)
    assert result.cmc.shape == (50,)


def test_line() -> None:
    result = Results.of("sysu-python all 1-shot", [ranks([1, 2, 0]), ranks([1, 1, 0])])
    assert result.line() == (
        "sysu-python all 1-shot (2 trials): R1 75.00 ± 35.36  R5 100.00 ± 0.00  R10 100.00 ± 0.00  R20 100.00 ± 0.00  "
        "mAP 87.50 ± 17.68  mINP 87.50 ± 17.68  | 2 valid queries, 1 without a match"
    )
    assert result.table().splitlines()[0].startswith("  trial 0: R1 50.00  R5 100.00")
    assert len(result.table().splitlines()) == 3


def test_one_trial_has_no_deviation_and_a_note_is_printed() -> None:
    result = Results.of("market", [ranks([1, 3])], note="2 cells are small")
    assert result.sd("mAP") is None and "±" not in result.line()
    assert result.table() == result.line() and result.line().endswith("; 2 cells are small")


def test_dict_is_json() -> None:
    record = json.loads(json.dumps(Results.of("p", [ranks([1, 2]), ranks([1, 1])]).as_dict()))
    assert record["rank"]["1"] == 0.75 and len(record["trials"]) == 2 and len(record["trials"][0]["cmc"]) == 50
    assert record["chance"]["rank1"] == pytest.approx(1 / 40)


def test_pool_joins_the_trials_of_several_models() -> None:
    parts = [Results.of(f"regdb-split-{k}", [ranks([1] * k + [2] * (4 - k))], note="n") for k in (1, 3)]
    pooled = Results.pool("regdb", parts)
    assert pooled.rank(1) == 0.5 and len(pooled.trials) == 2 and pooled.note == "n"


def test_the_method_is_named_everywhere_and_never_mixed() -> None:
    parts = [Results.of(f"regdb-split-{k}", [ranks([1, 2])], method="k-reciprocal(20,6,0.3)") for k in (1, 2)]
    pooled = Results.pool("regdb", parts)
    for result in (*parts, pooled):
        assert " + k-reciprocal(20,6,0.3)" in result.line() and "k-reciprocal" in result.as_dict()["protocol"]
    assert pooled.protocol == "regdb + k-reciprocal(20,6,0.3)" and len(pooled.ranks) == 2
    with pytest.raises(ValueError, match="different methods"):
        Results.pool("regdb", [parts[0], Results.of("regdb-split-2", [ranks([1, 2])])])


def test_refuses_what_has_no_number() -> None:
    with pytest.raises(ValueError, match="pids: none of the 2 queries has a match"):
        Results.of("p", [ranks([0, 0])])
    with pytest.raises(ValueError, match="at least one trial"):
        Results("p", ())
    with pytest.raises(ValueError, match=r"rank 51 is outside 1\.\.50"):
        Results.of("p", [ranks([1])]).rank(51)
