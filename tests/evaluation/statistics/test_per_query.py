"""One row per query: the means of the table are those of the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from promptreid.evaluation import FeatureSet, LLCMProtocol, MarketProtocol, SYSUProtocol
from promptreid.evaluation.protocols.swapped import Swapped
from promptreid.evaluation.ranking.reranking import KReciprocal
from promptreid.evaluation.statistics.per_query import COLUMNS, PerQuery


def images(rows: int, cameras: tuple[int, ...], seed: int, prefix: str = "") -> FeatureSet:
    features = np.random.default_rng(seed).standard_normal((rows, 6))
    names = np.array([f"{prefix}{row}.jpg" for row in range(rows)]) if prefix else None
    return FeatureSet(features, np.arange(rows) % 7, np.resize(np.repeat(cameras, 7), rows), names=names)


def test_sysu_rows_average_to_the_result() -> None:
    query, gallery = images(21, (2, 5), 0, "q"), images(56, (0, 1, 3, 4), 1, "g")
    protocol = SYSUProtocol(trials=3)
    result = protocol.evaluate(query, gallery)
    table = PerQuery.of(result, protocol, query, gallery)
    assert len(table) == 63 and list(table.columns) == list(COLUMNS)
    assert table.columns["query"][:2].tolist() == ["q0.jpg", "q1.jpg"]
    for number, trial in enumerate(result.trials):
        rows = (table.columns["trial"] == number) & (table.columns["matches"] > 0)
        assert table.columns["AP"][rows].mean() == pytest.approx(trial.mAP)
        assert (table.columns["first"][rows] == 1).mean() == pytest.approx(trial.cmc[0])
        assert rows.sum() == trial.num_valid


def test_transposed_and_swapped_protocols_name_their_own_queries() -> None:
    query, gallery = images(18, (0, 1), 0, "v"), images(36, (2, 3), 1, "i")
    protocol = LLCMProtocol("visible-infrared", "llcm-readme-2023", trials=2)
    table = PerQuery.of(protocol.evaluate(query, gallery), protocol, query, gallery)
    drawn = protocol.trials(gallery)[0]
    assert table.columns["query"][: len(drawn)].tolist() == [f"i{row}.jpg" for row in drawn]
    assert table.columns["pid"][: len(drawn)].tolist() == gallery.pids[drawn].tolist()
    swapped = Swapped(MarketProtocol())
    table = PerQuery.of(swapped.evaluate(query, gallery), swapped, query, gallery)
    assert table.columns["query"].tolist() == [f"i{row}.jpg" for row in range(36)]


def test_save_load_join_and_select(tmp_path: Path) -> None:
    query, gallery = images(9, (0,), 0), images(20, (1,), 1)
    tables = [
        PerQuery.of(protocol.evaluate(query, gallery, rerank=KReciprocal()), protocol, query, gallery)
        for protocol in (MarketProtocol("a"), MarketProtocol("longer name"))
    ]
    whole = PerQuery.join(tables)
    whole.save(tmp_path / "t.csv")
    loaded = PerQuery.load(tmp_path / "t.csv")
    assert loaded.protocols() == ["a", "longer name"] and set(loaded.columns["method"]) == {"k-reciprocal(20,6,0.3)"}
    for name in COLUMNS:
        np.testing.assert_array_equal(loaded.select("longer name").columns[name], tables[1].columns[name])
    assert loaded.columns["query"][:3].tolist() == ["0", "1", "2"]  # without names, the rows' numbers


def test_two_images_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"names: 'a\.jpg' names 2 images"):
        FeatureSet(None, [1, 2, 3], [0, 0, 0], names=np.array(["a.jpg", "b.jpg", "a.jpg"]))
    with pytest.raises(ValueError, match="names: 2 entries, but pids has 3"):
        FeatureSet(None, [1, 2, 3], [0, 0, 0], names=np.array(["a.jpg", "b.jpg"]))
