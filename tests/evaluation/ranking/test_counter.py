"""The compiled ranks and those of tensor operations are the same; which of them a problem gets."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from twin import Outcome, rank_all

from promptreid.evaluation import ranking
from promptreid.evaluation.features import FeatureSet
from promptreid.evaluation.ranking import counter
from promptreid.evaluation.ranking.counter import choose_counter, compiled_ranks
from promptreid.evaluation.ranking.counting import stable_ranks
from promptreid.evaluation.ranking.distances import GivenDistances
from promptreid.evaluation.ranking.exact import LEVELS, RULES, Ranks, rank_distances, rank_subsets

CPU = torch.device("cpu")
HUGE = 1 << 40
# sha256 of ranks, AP, INP and counts of `seeded`, from the time when tensor operations were the only way.
GOLDEN = "db3601763aab67a40abd347ec888e49f8d90e1e8daeb3783dc06241642ebe675"


@pytest.fixture(params=["compiled", "tensor operations"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """All problems are ranked in this way."""
    if request.param == "compiled":
        pytest.importorskip("numba")
    monkeypatch.setattr(counter, "_WORTH_COMPILING", 0 if request.param == "compiled" else HUGE)
    yield request.param


def seeded() -> Iterator[Ranks]:
    random = np.random.default_rng(7)
    labels = [random.integers(0, high, size) for high, size in ((60, 30), (60, 5000), (4, 30), (4, 5000))]
    for dtype, high in ((np.float32, 400), (np.float64, 1 << 20)):
        distances = (random.integers(-high, high, (30, 5000)) / 64).astype(dtype)
        for rule in RULES:
            yield from (rank_distances(distances, *labels, rule=rule, level=level) for level in LEVELS)


def digest(outcomes: Iterator[Ranks]) -> str:
    found = hashlib.sha256()
    for ranks in outcomes:
        # The order in which a mean over the matches is summed depends on the processor, and so does its last digit.
        for values in (ranks.first, ranks.average_precision.round(12), ranks.inverse_penalty, ranks.num_matches,
                       ranks.num_kept):  # fmt: skip
            found.update(values.tobytes())
    return found.hexdigest()


def test_ranks_are_what_they_were(way: str) -> None:
    assert digest(seeded()) == GOLDEN


@st.composite
def problems(draw: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances with many ties, zeros of both signs and hidden items, and visible columns as matches."""
    rows, columns, most = draw(st.integers(1, 5)), draw(st.integers(1, 40)), draw(st.integers(0, 9))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    distances = random.integers(-3, 4, (rows, columns)) * random.choice([-0.5, 0.5], (rows, columns))
    distances[random.random((rows, columns)) < 0.2] = np.inf
    matches = np.full((rows, most), -1)
    for row in range(rows):
        chosen = np.flatnonzero(np.isfinite(distances[row]))
        chosen = random.permutation(chosen)[: random.integers(0, most + 1)]
        matches[row, : len(chosen)] = np.sort(chosen)
    return torch.from_numpy(distances).to(draw(st.sampled_from([torch.float32, torch.float64]))), torch.from_numpy(
        matches
    )


@settings(max_examples=150, deadline=None)
@given(problem=problems())
def test_compiled_equals_tensor_operations(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    pytest.importorskip("numba")
    assert torch.equal(compiled_ranks(*problem), stable_ranks(*problem))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pieces_of_a_row_do_not_matter(dtype: torch.dtype) -> None:
    pytest.importorskip("numba")
    generator = torch.Generator().manual_seed(0)
    distances = torch.randint(0, 50, (3, 10_000), generator=generator).to(dtype)
    matches = torch.tensor([0, 1, 4095, 4096, 4097, 8191, 8192, 9999]).expand(3, -1)
    places = distances.sort(dim=1, stable=True).indices.argsort(1) + 1
    assert torch.equal(compiled_ranks(distances, matches), places.gather(1, matches))
    every_other = distances[:, ::2]
    assert torch.equal(compiled_ranks(every_other, matches[:, :5]), stable_ranks(every_other, matches[:, :5]))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rule=st.sampled_from(RULES), level=st.sampled_from(LEVELS),
       dtype=st.sampled_from([np.float32, np.float64]))  # fmt: skip
def test_both_ways_equal_the_twin(seed: int, rule: str, level: str, dtype: type) -> None:
    pytest.importorskip("numba")
    random = np.random.default_rng(seed)
    num_q, num_g = random.integers(1, 7), random.integers(4, 30)
    distances = (random.integers(-2, 3, (num_q, num_g)) / 4).astype(dtype)
    query = FeatureSet(None, random.integers(0, 4, num_q), random.integers(0, 3, num_q))
    pool = FeatureSet(None, random.integers(0, 4, num_g), random.integers(0, 3, num_g))
    subsets = [np.arange(num_g), random.permutation(num_g)[:4], random.permutation(num_g)[: num_g // 2]]
    for least in (0, HUGE):
        with patch.object(counter, "_WORTH_COMPILING", least):
            found = rank_subsets(GivenDistances(distances), query, pool, rule=rule, level=level, subsets=subsets)
        for ranks, subset in zip(found, subsets, strict=True):
            alone = rank_all(distances[:, subset], query.pids, pool.pids[subset], query.camids, pool.camids[subset],
                             rule=rule, level=level)  # fmt: skip
            outcomes = zip(ranks.first, ranks.average_precision, ranks.inverse_penalty, ranks.num_matches,
                           ranks.num_kept, strict=True)  # fmt: skip
            np.testing.assert_allclose([Outcome(*each) for each in outcomes], alone, rtol=1e-12, equal_nan=True)


def test_large_problems_on_the_cpu_are_compiled(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("numba")
    with caplog.at_level(logging.DEBUG, logger=counter.__name__):
        assert choose_counter(HUGE, CPU) is compiled_ranks
        assert choose_counter(counter._WORTH_COMPILING - 1, CPU) is stable_ranks
        assert choose_counter(HUGE, torch.device("cuda")) is stable_ranks
    first, second, third = (record.getMessage() for record in caplog.records)
    assert first.startswith("ranks by the compiled kernel") and "on cpu" in second and "on cuda" in third


def forget_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if neither numba nor the kernel had been imported, until the test ends."""
    for name in [name for name in sys.modules if name.split(".")[0] == "numba" or name == f"{ranking.__name__}.kernel"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(ranking, "kernel", raising=False)


@pytest.mark.parametrize("error", [ImportError, OSError])
def test_without_numba_ranks_come_from_tensor_operations(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Blocked:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "numba" or name.startswith("numba."):
                raise error("numba is blocked")

    forget_numba(monkeypatch)
    monkeypatch.setattr(sys, "meta_path", [Blocked(), *sys.meta_path])
    monkeypatch.setattr(counter, "_WORTH_COMPILING", 0)
    with caplog.at_level(logging.DEBUG, logger=counter.__name__):
        assert choose_counter(HUGE, CPU) is stable_ranks
        ranks = rank_distances(np.zeros((1, 4)), [1], [0, 1, 0, 1], [0], [1, 1, 1, 1])
    assert ranks.first.tolist() == [2]
    assert "numba cannot be imported (numba is blocked)" in caplog.text


def test_small_problems_do_not_load_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_numba(monkeypatch)
    assert rank_distances(np.array([[1.0, 2.0]]), [1], [0, 1], [0], [1, 1]).first.tolist() == [2]
    assert "numba" not in sys.modules
