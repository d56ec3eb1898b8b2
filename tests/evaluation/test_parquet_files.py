"""Parquet files within bounds: what was written is read, and a value that is repeated for ever is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
import pyarrow as arrow
import pyarrow.parquet as parquet

from promptreid.evaluation.parquet_files import read_arrow
from promptreid.evaluation.parquet_footer import values_in

ABORTS = Path(__file__).parents[1] / "fuzz" / "seeds" / "table_parquet" / "abort-of-the-metadata"


def test_values_are_counted_as_pyarrow_counts_them(tmp_path: Path) -> None:
    table = arrow.table({"a": [1, 2, 3], "b": [[1.0, 2.0], [], [3.0]], "c": ["x", None, "y"]})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    with parquet.ParquetFile(tmp_path / "a.parquet") as file:
        groups = [file.metadata.row_group(number) for number in range(2)]
        theirs = sum(group.column(number).num_values for group in groups for number in range(3))
    assert values_in(tmp_path / "a.parquet") == theirs == 10
    assert read_arrow(tmp_path / "a.parquet").to_pydict() == table.to_pydict()


def test_texts_come_back_plain(tmp_path: Path) -> None:
    table = arrow.table({"a": ["x", "x", None], "b": arrow.array([b"1", b"", b"2"])})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert read_arrow(tmp_path / "a.parquet").schema.types == table.schema.types


@pytest.mark.parametrize("nested", [True, False])
def test_a_value_thirty_million_times(nested: bool, tmp_path: Path) -> None:
    values = arrow.nulls(30_000_000, arrow.int8())
    column = arrow.ListArray.from_arrays(arrow.array([0, len(values)], arrow.int32()), values) if nested else values
    parquet.write_table(arrow.table({"a": column}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet: .*30000000 values in a file of \d+ bytes.*write it again"):
        read_arrow(tmp_path / "a.parquet")


def test_a_long_text_that_is_repeated(tmp_path: Path) -> None:
    text = arrow.DictionaryArray.from_arrays(arrow.array([0] * 20_000, arrow.int32()), arrow.array(["x" * 5000]))
    parquet.write_table(arrow.table({"a": text.cast(arrow.string())}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="column 'a': texts of 100000000 bytes in a file of"):
        read_arrow(tmp_path / "a.parquet")


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    parquet.write_table(arrow.Table.from_arrays([arrow.array([1])] * 2, names=["a", "a"]), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="several called 'a'"):
        read_arrow(tmp_path / "a.parquet")


def test_statistics_that_end_pyarrow(tmp_path: Path) -> None:
    """In a process of its own, since that is what would be ended."""
    code = (
        "import sys, pathlib; from promptreid.evaluation.parquet_files import read_arrow; "
        "read_arrow(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ABORTS)], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1)
    assert done.returncode == 0 or "not a Parquet file that can be read" in done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a footer of 0 bytes in a file of 0"),
        (b"x\0\0\0PAR1", "a footer of 120 bytes in a file of 8"),
        (b"\x19\xfc\xff\xff\xff\xff\x0f" + b"\7\0\0\0PAR1", "a list of 4294967295 values, longer than itself"),
        (b"\x1c" * 30 + b"\x1e\0\0\0PAR1", "nested too deeply"),
        (b"\x16" + b"\xff" * 11 + b"\x0c\0\0\0PAR1", "more than 64 bits"),
        (b"\x1f" + b"\1\0\0\0PAR1", "a value of type 15"),
        (b"\x15" + b"\1\0\0\0PAR1", "cut short"),
    ],
)
def test_footers_that_lie(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        values_in(tmp_path / "a.parquet")
