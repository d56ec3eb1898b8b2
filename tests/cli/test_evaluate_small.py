"""Whatever is in a file of features, however little: numbers, or a ValueError that says what is wrong."""

from __future__ import annotations

import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid.cli import evaluate as verb
from promptreid.cli.command_line import parser_of
from promptreid.evaluation.features_io import FeatureTable, save_features
from promptreid.evaluation.protocols import all_protocols

OPTIONS = (
    ("--rerank", "--k1", "3", "--k2", "2"), ("--rerank",), ("--aqe",), ("--aqe", "--aqe-alpha", "2"),
    ("--roc", "0", "0.1", "1"), ("--trials",), ("--metric", "cosine"), ("--rerank-distances", "plain"),
)  # fmt: skip


def evaluate(path: Path, *args: str) -> list[str]:
    out = StringIO()
    with redirect_stdout(out), np.errstate(all="raise"):
        verb.run(parser_of("evaluate", "evaluate").parse([str(path), *args]))
    return out.getvalue().splitlines()


def saved(path: Path, pids: Any, split: Any, features: Any = None, camids: Any = None) -> Path:
    count = len(pids)
    if features is None:
        features = np.random.default_rng(0).standard_normal((count, 4)).astype(np.float32)
    save_features(FeatureTable(features, pids, np.arange(count) if camids is None else camids, split), path)
    return path


def test_a_run_against_itself_differs_by_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path / "f.npz", [0, 1, 2, 0, 1, 1], ["query"] * 3 + ["gallery"] * 3)
    lines = evaluate(path, "--protocol", "market1501", "--compare", str(path), "--per-query", str(tmp_path / "q.csv"))
    assert lines[-1].count("+0.00 [+0.00, +0.00]") == 3 and "2 queries" in lines[-1]
    again = evaluate(path, "--protocol", "market1501", "--compare", str(tmp_path / "q.csv"), "--unit", "pid")
    assert again[-1].count("+0.00 [+0.00, +0.00]") == 3 and "2 identities" in again[-1]


@pytest.mark.parametrize("extra", [(), *OPTIONS])
def test_one_query_and_a_query_without_a_match(extra: tuple[str, ...], tmp_path: Path) -> None:
    one = saved(tmp_path / "one.npz", [0, 0, 1], ["query", "gallery", "gallery"])
    assert "1 valid queries, 0 without a match" in evaluate(one, "--protocol", "market1501", *extra)[0 if extra != (
        "--trials",) else -1]  # fmt: skip
    two = saved(tmp_path / "two.npz", [0, 7, 0, 1], ["query", "query", "gallery", "gallery"])
    assert "1 valid queries, 1 without a match" in "\n".join(evaluate(two, "--protocol", "market1501", *extra))


@pytest.mark.parametrize(
    ("pids", "split", "extra", "message"),
    [
        ([0, 1], ["query", "query"], (), "split: no image belongs to the gallery"),
        ([0, 1], ["gallery", "gallery"], (), "split: no image belongs to the query"),
        ([0], ["query"], (), "split: no image belongs to the gallery"),
        ([0, 1], ["query", "gallery"], (), "pids: none of the 1 queries has a match in the gallery"),
        ([0, 0], ["query", "gallery"], ("--roc", "0.1"), "1 positive and 0 negative pairs"),
    ],
)
def test_what_cannot_be_scored_is_said(pids: list[int], split: list[str], extra: Any, message: str, tmp_path: Path):
    path = saved(tmp_path / "f.npz", pids, split)
    with pytest.raises(ValueError, match=message):
        evaluate(path, "--protocol", "market1501", *extra)


@pytest.mark.parametrize("extra", [(), *OPTIONS])
@pytest.mark.parametrize(
    ("row", "message"),
    [(1, "query: the features hold NaN or infinite values in rows 1$"), (4, "gallery: the features .* in rows 1$")],
)
def test_rows_that_are_no_numbers_are_named(row: int, message: str, extra: tuple[str, ...], tmp_path: Path) -> None:
    features = np.ones((6, 2), np.float32)
    features[row, 1] = np.nan if row == 1 else np.inf
    path = saved(tmp_path / "f.npz", [0, 1, 2, 0, 1, 2], ["query"] * 3 + ["gallery"] * 3, features)
    with pytest.raises(ValueError, match=message):
        evaluate(path, "--protocol", "market1501", *extra)


@pytest.mark.parametrize("extra", [(), ("--rerank",), ("--aqe",)])
def test_features_without_columns(extra: tuple[str, ...], tmp_path: Path) -> None:
    path = saved(tmp_path / "f.npz", [0, 0, 1], ["query", "gallery", "gallery"], np.ones((3, 0)))
    with pytest.raises(ValueError, match="query: the features have no columns"):
        evaluate(path, "--protocol", "market1501", *extra)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    name=st.sampled_from(sorted(all_protocols())),
    count=st.integers(1, 9),
    width=st.integers(0, 3),
    special=st.sampled_from(["", "nan", "zero", "huge", "ties"]),
    extra=st.lists(st.sampled_from(OPTIONS), max_size=3),
)
def test_numbers_or_a_value_error(
    seed: int, name: str, count: int, width: int, special: str, extra: list[tuple[str, ...]]
) -> None:
    random = np.random.default_rng(seed)
    features = random.standard_normal((count, width)).astype(np.float32)
    features = {"zero": 0 * features, "huge": 1e25 * features, "ties": np.round(features)}.get(special, features)
    if special == "nan":
        features[random.integers(count)] = np.nan
    camids, split = random.integers(0, 6, count), random.integers(0, 2, count)
    if name.startswith("sysu"):
        split = np.where(np.isin(camids, (2, 5)), 0, 1)
    camids = split if name.startswith("regdb") else camids
    modality = np.where(split == 0, "visible", "infrared")
    labels = (random.integers(0, 3, count), camids, split, modality, None, random.integers(0, 3, count))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.npz"
        save_features(FeatureTable(features, *labels), path)
        options = [part for option in extra for part in option]
        try:
            lines = evaluate(path, "--protocol", name, *options, "--compare", str(path))
        except ValueError as error:
            assert str(error).split(":")[0] in ("split", "pids", "query", "gallery", str(path)), error
        else:
            assert "nan" not in "".join(lines) and lines[-1].count("+0.00 [+0.00, +0.00]") == 3
