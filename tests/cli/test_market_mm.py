"""The command line: what it says of thermal images, and mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import promptreid
from fake_triples import patches

NAMES = {
    "bounding_box_train": "0002_c1s1_000451_03",
    "query": "0001_c1s1_001051_00",
    "bounding_box_test": "0001_c2s1_000000_01",
}


@pytest.fixture
def market(tmp_path: Path) -> Path:
    for split, name in NAMES.items():
        (tmp_path / "market" / split).mkdir(parents=True)
        patches((16, 8))(tmp_path / "market" / split / f"{name}.jpg", 1)
    return tmp_path / "market"


def test_without_thermal_images(market: Path, capsys) -> None:
    out = market.parent / "Market1501-MM"
    assert promptreid("market-mm", market, "--out", out) == 0
    printed = capsys.readouterr().out
    assert f"1 train, 1 query, 1 gallery samples in {out}" in printed
    assert "no thermal images: they are the output of the authors' CycleGAN and cannot be made from RGB" in printed
    assert "with --tir, or read this set with data.incomplete keep" in printed
    assert sorted(path.name for path in (out / "train").iterdir()) == ["NI", "RGB"]


def test_with_thermal_images(market: Path, capsys) -> None:
    for lacking in (1, 0):
        warm = market.parent / f"warm{lacking}"
        warm.mkdir()
        for name in list(NAMES.values())[lacking:]:
            patches((16, 8))(warm / f"{name}.jpg", 2)
        assert promptreid("market-mm", market, "--out", market.parent / f"out{lacking}", "--tir", warm) == 0
    printed = capsys.readouterr().out
    assert "1 samples have no thermal image (0002_c1s1_000451_03, ...); to use them, read this set with" in printed
    assert "all of them have their thermal image" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--out", "new"], "error: Market-1501 not found at nowhere"),
        (["market", "--out", "market"], "error: market is there already"),
        (["market", "--out", "new", "--tir", "cold"], "error: cold: no such folder of thermal images"),
        (["market", "--out", "new", "--workers", "0"], "argument --workers: 0 is below 1"),
        (["market"], "required: --out"),
    ],
)
def test_mistakes(market: Path, monkeypatch: pytest.MonkeyPatch, capsys, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(market.parent)
    assert promptreid("market-mm", *arguments) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in market.parent.iterdir()) == ["market"]
