from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from promptreid.evaluation import FeatureSet, MarketProtocol
from promptreid.evaluation.missing.conditions import Condition, evaluate_condition, missing_conditions
from promptreid.evaluation.missing.table import MissingTable
from promptreid.evaluation.tables import load_table, save_table

TRIPLES = ("visible", "near_infrared", "thermal_infrared")


def table(conditions: list[Condition]) -> MissingTable:
    random = np.random.default_rng(0)
    features = torch.from_numpy(random.standard_normal((40, 6)).astype(np.float32))
    images = FeatureSet(features, np.arange(40) % 5, np.arange(40) // 20)
    present = np.ones((40, 3), dtype=bool)
    slices = [slice(0, 2), slice(2, 4), slice(4, 6)]
    return MissingTable(
        [
            (one, evaluate_condition(MarketProtocol("toy"), one, images, images, (present, present), slices))
            for one in conditions
        ]
    )


@pytest.fixture(scope="module")
def triples() -> MissingTable:
    return table(missing_conditions(TRIPLES))


def test_the_mean_is_that_of_the_six_columns_without_full(triples: MissingTable) -> None:
    six = [results for name, results in triples.results.items() if name != "full"]
    assert len(six) == 6
    expected = [np.mean([one.mAP for one in six])] + [np.mean([one.rank(k) for one in six]) for k in (1, 5, 10)]
    np.testing.assert_allclose(triples.mean, expected)


def test_text_and_markdown_have_a_row_per_condition(triples: MissingTable) -> None:
    full, mean = triples.results["full"], 100 * triples.mean
    lines = triples.text().splitlines()
    assert lines[0] == "toy"
    assert lines[1].split() == ["mAP", "R1", "R5", "R10"]
    assert [line.split()[0] for line in lines[2:]] == [*triples.results, "mean"]
    assert lines[2].split()[1:] == [
        f"{100 * value:.2f}" for value in (full.mAP, full.rank(1), full.rank(5), full.rank(10))
    ]
    assert len({len(line) for line in lines[1:]}) == 1
    rows = triples.markdown().splitlines()
    assert rows[:2] == ["| toy | mAP | R1 | R5 | R10 |", "|---|---:|---:|---:|---:|"]
    assert rows[-1] == f"| mean | {mean[0]:.2f} | {mean[1]:.2f} | {mean[2]:.2f} | {mean[3]:.2f} |"
    assert len(rows) == 2 + 7 + 1


def test_csv_keeps_every_digit(triples: MissingTable, tmp_path: Path) -> None:
    save_table(triples.columns(), tmp_path / "missing.csv")
    texts = load_table(tmp_path / "missing.csv", {"condition": str, "query": str, "gallery": str, "mAP": float})
    assert texts["condition"].tolist() == [*triples.results, "mean"]
    assert texts["query"].tolist() == ["RGB+NIR+TIR", "NIR+TIR", "RGB+TIR", "RGB+NIR", "TIR", "NIR", "RGB", ""]
    assert texts["mAP"].tolist() == [*(one.mAP for one in triples.results.values()), triples.mean[0]]


def test_json(triples: MissingTable) -> None:
    record = triples.as_dict()
    assert record["mean"] == dict(zip(("mAP", "R1", "R5", "R10"), triples.mean, strict=True))
    assert [one["condition"] for one in record["conditions"]] == list(triples.results)
    assert record["conditions"][1]["gallery"] == "NIR+TIR"
    assert record["conditions"][1]["mAP"] == triples.results["M(RGB)"].mAP


def test_a_single_condition_has_no_mean() -> None:
    one = table([Condition(TRIPLES, (0, 1), (1, 2))])
    assert one.mean is None and one.as_dict()["mean"] is None
    assert [line.split("  ")[0] for line in one.text().splitlines()[2:]] == ["RGB+NIR -> NIR+TIR"]
    assert one.columns()["gallery"].tolist() == ["NIR+TIR"]
    with pytest.raises(ValueError, match="at least one condition"):
        MissingTable([])
