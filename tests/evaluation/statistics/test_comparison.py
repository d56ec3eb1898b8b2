"""Paired differences: their means, intervals and what cannot be compared."""

from __future__ import annotations

import numpy as np
import pytest

from promptreid.evaluation.statistics.comparison import compare, intervals
from promptreid.evaluation.statistics.per_query import PerQuery


def table(ap: np.ndarray, *, trials: int = 1, pids: np.ndarray | None = None, protocol: str = "p") -> PerQuery:
    """(trials * Q,) APs; the first match is at rank 1 where AP is above one half; NaN has no match."""
    size = len(ap) // trials
    return PerQuery(
        {
            "protocol": np.full(len(ap), protocol),
            "method": np.full(len(ap), ""),
            "trial": np.repeat(np.arange(trials), size),
            "query": np.tile(np.arange(size).astype(str), trials),
            "pid": np.tile(np.arange(size) if pids is None else pids, trials),
            "camid": np.zeros(len(ap), dtype=int),
            "first": np.where(np.isnan(ap), 0, np.where(ap > 0.5, 1, 2)),
            "AP": ap,
            "INP": ap / 2,
            "matches": (~np.isnan(ap)).astype(int),
        }
    )


def shuffled(given: PerQuery) -> PerQuery:
    order = np.random.default_rng(0).permutation(len(given))
    return PerQuery({name: values[order] for name, values in given.columns.items()})


def test_means_are_over_valid_rows_and_the_interval_covers_them() -> None:
    random = np.random.default_rng(1)
    a = random.random(400)
    b = np.clip(a + random.normal(0.02, 0.05, 400), 0, 1)
    a[7] = b[7] = np.nan
    (found,) = compare(table(a), shuffled(table(b)))
    one = found.differences["mAP"]
    assert (one.first, one.second) == (pytest.approx(np.nanmean(a)), pytest.approx(np.nanmean(b)))
    error = np.nanstd(b - a, ddof=1) / np.sqrt(399)
    assert one.low == pytest.approx(one.difference - 1.96 * error, abs=0.1 * error)
    assert one.high == pytest.approx(one.difference + 1.96 * error, abs=0.1 * error)
    assert found.differences["mINP"].difference == pytest.approx(one.difference / 2)
    assert found.num_units == 399


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        a = random.random(60)
        (found,) = compare(table(a), table(a + random.normal(0.01, 0.1, 60)), samples=400, level=0.9)
        covered += found.differences["mAP"].low <= 0.01 <= found.differences["mAP"].high
    assert 0.82 <= covered / 200 <= 0.96


def test_pairing_makes_the_interval_narrow() -> None:
    a = np.random.default_rng(3).random(300)
    (found,) = compare(table(a), table(a + 0.01))
    assert found.differences["mAP"].low == pytest.approx(0.01) and found.differences["mAP"].high == pytest.approx(0.01)


def test_identities_and_trials_are_drawn_as_wholes() -> None:
    random = np.random.default_rng(4)
    pids = np.repeat(np.arange(30), 10)
    shift = random.normal(0, 0.1, 30)[pids]
    a = random.random(300)
    pair = table(a, pids=pids), table(a + shift, pids=pids)
    by_query, by_pid = (compare(*pair, unit=unit)[0] for unit in ("query", "pid"))
    widths = [c.differences["mAP"].high - c.differences["mAP"].low for c in (by_query, by_pid)]
    assert widths[1] == pytest.approx(np.sqrt(10) * widths[0], rel=0.25)
    assert (by_query.num_units, by_pid.num_units) == (300, 30)
    # Ten equal trials know no more than one.
    ten = compare(table(np.tile(a, 10), trials=10), table(np.tile(a + shift, 10), trials=10))[0].differences["mAP"]
    assert ten.high - ten.low == pytest.approx(widths[0], rel=0.05)


def test_the_seed_fixes_the_interval() -> None:
    a, b = table(np.random.default_rng(5).random(50)), table(np.random.default_rng(6).random(50))
    assert compare(a, b, seed=1) == compare(a, b, seed=1) != compare(a, b, seed=2)


def test_intervals_of_one_run_are_those_of_its_difference_to_nothing() -> None:
    ap = np.random.default_rng(7).random(60)
    ap[4] = np.nan
    pids = np.arange(60) // 3
    nothing = np.where(np.isnan(ap), np.nan, 0.0)
    for unit in ("query", "pid"):
        one = intervals(table(ap, pids=pids), unit=unit, seed=3)["p"]
        (other,) = compare(table(nothing, pids=pids), table(ap, pids=pids), unit=unit, seed=3)
        for name, difference in other.differences.items():
            assert one[name] == pytest.approx((difference.low, difference.high))
            assert one[name].low < difference.second < one[name].high
    unmatched = table(np.full(5, np.nan), protocol="q")
    assert list(intervals(PerQuery.join([table(ap), unmatched]))) == ["p"]
    with pytest.raises(ValueError, match="unit: 'camera'"):
        intervals(table(ap), unit="camera")


def test_line() -> None:
    (found,) = compare(table(np.full(4, 0.4)), table(np.full(4, 0.6)), unit="pid")
    assert found.line() == (
        "p: R1 0.00 -> 100.00: +100.00 [+100.00, +100.00]  mAP 40.00 -> 60.00: +20.00 [+20.00, +20.00]  "
        "mINP 20.00 -> 30.00: +10.00 [+10.00, +10.00]  | 95 % intervals, 4 identities"
    )


@pytest.mark.parametrize(
    ("second", "options", "message"),
    [
        (table(np.ones(3)), {}, "only one table has query '3' in trial 0"),
        (table(np.array([1, 1, 1, np.nan])), {}, "query '3' has matches 1 in one table and 0 in the other"),
        (table(np.ones(4), pids=np.array([0, 1, 9, 3])), {}, "query '2' has pid 2 in one table and 9"),
        (table(np.ones(4), protocol="q"), {}, "share no protocol"),
        (PerQuery.join([table(np.ones(4)), table(np.ones(4))]), {}, "query '0' is there twice"),
        (table(np.ones(4)), {"unit": "camera"}, "unit: 'camera'"),
        (table(np.ones(4)), {"level": 95}, "samples, level: "),
    ],
)
def test_refuses(second: PerQuery, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare(table(np.ones(4)), second, **options)  # type: ignore[arg-type]
