"""CSV and Parquet files of columns."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from promptreid.evaluation.tables import load_table, save_table

COLUMNS = {
    "name": np.array(['a,b "c"', "é\nline", ""]),
    "rank": np.array([1, 0, 2**40]),
    "AP": np.array([1 / 3, np.nan, 1e-17]),
}
TYPES = {"name": str, "rank": int, "AP": float}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_round_trip_keeps_everything(suffix: str, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / "new" / f"table{suffix}"
    save_table(COLUMNS, path)
    loaded = load_table(path, TYPES)
    for name, values in COLUMNS.items():
        np.testing.assert_array_equal(loaded[name], values)
    assert list(load_table(path, {"rank": int})) == ["rank"]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"pip install 'promptreid\[parquet\]'"):
        save_table(COLUMNS, tmp_path / "t.parquet")
    assert not (tmp_path / "t.parquet").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,rank\na,1\n", "column 'AP' is missing"),
        ("name,rank,AP\na,1\n", "line 2 has 2 fields, its header 3"),
        ("name,rank,AP\na,x,1\n", "column 'rank': invalid literal"),
        ("", "column 'name' is missing"),
    ],
)
def test_broken_tables_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_table(path, TYPES)


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.csv: no such table"):
        load_table(tmp_path / "none.csv", TYPES)
    with pytest.raises(ValueError, match=r"tables end in \.csv or \.parquet"):
        save_table(COLUMNS, tmp_path / "t.xlsx")


def test_a_broken_parquet_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(b"no")
    with pytest.raises(ValueError, match="not a Parquet file"):
        load_table(tmp_path / "t.parquet", TYPES)
