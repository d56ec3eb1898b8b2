"""Parquet files within bounds: a file of a kilobyte can hold a value a billion times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from promptreid.evaluation.parquet_footer import values_in

FREE = 10_000_000
"""Values, and bytes of texts, that any file may have."""
GROWTH = 20
"""Values for each byte of a file beyond; features and paths take more room than that, one value repeated does not."""
TEXT_GROWTH = 200
"""Bytes of texts for each byte of a file beyond; names of splits and modalities repeat."""


def import_arrow(path: Path) -> tuple[Any, Any]:
    """pyarrow and its Parquet module; ``ValueError`` where they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ValueError(
            f"{path}: Parquet files need pyarrow, which is not installed: pip install 'promptreid[parquet]', "
            "or use a .csv file for tables and .npz or .safetensors for features"
        ) from None
    return pyarrow, pyarrow.parquet


def read_arrow(path: Path) -> Any:
    """A Parquet file as pyarrow's table, its texts plain.

    Raises:
        ValueError: no pyarrow, a broken file, two columns of one name, or far more values than the file has bytes.
    """
    arrow, parquet = import_arrow(path)
    size = path.stat().st_size
    try:
        values = values_in(path)
        if values > GROWTH * size + FREE:
            raise ValueError(f"{values} values in a file of {size} bytes")
        schema = parquet.read_schema(path)
        twice = [name for name in schema.names if schema.names.count(name) > 1][:1] if len(schema) < 1000 else ["..."]
        if twice:
            raise ValueError(f"more than a thousand columns, or several called {twice[0]!r}")
        # As dictionaries they take the memory of what is in the file, however often a text is repeated.
        texts = [field.name for field in schema if _is_text(arrow, field.type)]
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            table = file.read()
        return _plain(arrow, table, size)
    except Exception as error:  # pyarrow's errors have half a dozen bases
        raise ValueError(f"{path}: not a Parquet file that can be read ({error}); write it again") from None


def parquet_columns(path: Path) -> list[str]:
    """Names of a Parquet file's columns.

    Raises:
        ValueError: no pyarrow, or not a Parquet file.
    """
    _, parquet = import_arrow(path)
    try:
        return list(parquet.read_schema(path).names)
    except Exception as error:  # as above
        raise ValueError(f"{path}: not a Parquet file ({error}); write it again") from None


def _is_text(arrow: Any, kind: Any) -> bool:
    return bool(arrow.types.is_string(kind) or arrow.types.is_binary(kind))


def _plain(arrow: Any, table: Any, size: int) -> Any:
    """The table with plain texts, if these are not far longer than the file."""
    import pyarrow.compute as compute

    for number, field in enumerate(table.schema):
        if not arrow.types.is_dictionary(field.type) or not _is_text(arrow, field.type.value_type):
            continue
        length = 0
        for chunk in table.column(number).chunks:
            lengths = compute.cast(compute.binary_length(chunk.dictionary), arrow.int64())
            length += compute.sum(compute.take(lengths, chunk.indices)).as_py() or 0
        if length > TEXT_GROWTH * size + FREE:
            raise ValueError(f"column {field.name!r}: texts of {length} bytes in a file of {size}")
        plain = table.column(number).cast(field.type.value_type)
        table = table.set_column(number, field.with_type(field.type.value_type), plain)
    return table
