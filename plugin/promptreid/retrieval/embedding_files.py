"""Files of vectors with the description of their model: ``.safetensors``, or ``.parquet`` for other programs.

A row is an object. The columns are those of :class:`~promptreid.retrieval.embeddings.Embeddings`, ``vectors``,
``present``, ``names`` and ``cameras``, and whatever else is known of the objects. The description of the model is JSON
in the metadata: under ``model``, of Parquet in the schema's. Of compressed vectors, ``vectors`` are the codes, and the
compressor that reads them is in the file: ``.safetensors`` alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from promptreid.evaluation.features import check_length
from promptreid.evaluation.parquet_files import import_arrow, read_arrow
from promptreid.files import atomic_path, explained_writes
from promptreid.json_texts import parse_json
from promptreid.retrieval.array_files import KIND, REMEDY, VERSION, read_arrays, texts, write_arrays
from promptreid.retrieval.compression.files import packed, unpacked
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embeddings import Embeddings

SUFFIXES = (".safetensors", ".parquet")
COLUMNS = ("vectors", "present", "names", "cameras")
_KIND, _LAYOUT, _NEWEST = "embeddings", 1, 2
"""Files of compressed vectors have the newest layout, so that who knows none of them does not read codes as vectors."""


def check_embeddings_path(path: str | Path) -> None:
    """Raise ``ValueError`` before hours of work, if the suffix does not allow writing the file."""
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: files of vectors end in {', '.join(SUFFIXES)}")
    if path.suffix == ".parquet":
        import_arrow(path)


def save_embeddings(
    embeddings: Embeddings, path: str | Path, extra_columns: Mapping[str, np.ndarray] | None = None
) -> None:
    """Write vectors; the file appears under its name when it is complete.

    Args:
        embeddings: what to write.
        path: ends in ``.safetensors`` or ``.parquet``.
        extra_columns: by name, (N,) numbers or texts, such as identities.

    Raises:
        ValueError: an unknown suffix, Parquet without pyarrow or of compressed vectors, or a column of another length
            or with a taken name.
    """
    path = Path(path)
    check_embeddings_path(path)
    compressor, given = embeddings.compressor, embeddings.vectors
    if compressor is not None and path.suffix != ".safetensors":
        raise ValueError(f"{path}: compressed vectors are codes, which other programs cannot read; use .safetensors")
    extra = {name: np.asarray(values) for name, values in (extra_columns or {}).items()}
    for name, values in extra.items():
        if name in COLUMNS or "." in name:
            raise ValueError(f"column {name!r}: choose a name without dots that is none of {', '.join(COLUMNS)}")
        check_length(name, len(values), len(embeddings), "vectors")
    columns = {
        "vectors": np.asarray(given, dtype=np.float32) if compressor is None else compressor.encode(given),
        "present": np.asarray(embeddings.present, dtype=bool),
        "names": texts(embeddings.names),
        "cameras": np.asarray(embeddings.cameras, dtype=np.int64),
        **extra,
    }
    about = {"model": embeddings.model.to_json(), "failed": json.dumps(embeddings.failed)}
    if path.suffix == ".safetensors":
        arrays, made_by = packed(compressor)
        layout = _LAYOUT if compressor is None else _NEWEST
        write_arrays(path, _KIND, layout, {**columns, **arrays}, {**about, **made_by})
    else:
        _write_parquet(path, columns, about)


def load_embeddings(path: str | Path) -> tuple[Embeddings, dict[str, np.ndarray]]:
    """Read vectors from a file of :func:`save_embeddings`, and its other columns.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown suffix, a broken file, one without its model's description, or values that do not fit.
    """
    path = Path(path)
    check_embeddings_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of vectors")
    read = _read_parquet(path) if path.suffix == ".parquet" else read_arrays(path, _KIND, _NEWEST)
    columns, about = read
    missing = [name for name in COLUMNS if name not in columns]
    if missing or "model" not in about:
        raise ValueError(
            f"{path}: has no {missing[0] if missing else 'description of its model'}; write it with save_embeddings"
        )
    try:
        model = ModelDescription.from_json(about["model"])
        failed = tuple((str(name), str(reason)) for name, reason in parse_json(about.get("failed", "[]")))
        compressor = unpacked(columns, about)
        if compressor is not None:
            columns["vectors"] = compressor.decode(columns["vectors"], columns["present"])
        own = {name: columns[name] for name in COLUMNS}
        found = Embeddings(model, **own, failed=failed, compressor=compressor)
        for name, values in columns.items():
            check_length(name, len(values), len(found), "vectors")
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path}: {error}; write it again") from None
    return found, {name: values for name, values in columns.items() if name not in COLUMNS}


def _write_parquet(path: Path, columns: Mapping[str, np.ndarray], about: Mapping[str, str]) -> None:
    arrow, parquet = import_arrow(path)
    try:
        table = arrow.table({name: _column(arrow, values) for name, values in columns.items()})
    except (UnicodeEncodeError, arrow.ArrowInvalid) as error:
        raise ValueError(f"{path}: Parquet cannot hold a name or column ({error}); use .safetensors") from None
    table = table.replace_schema_metadata({KIND: _KIND, VERSION: str(_LAYOUT), **about})
    with (
        explained_writes(path, REMEDY),
        atomic_path(path) as part,
    ):
        parquet.write_table(table, part)


def _column(arrow: Any, values: np.ndarray) -> Any:
    if values.ndim == 2:
        return arrow.FixedSizeListArray.from_arrays(arrow.array(values.ravel()), values.shape[1])
    return arrow.array(values.tolist() if values.dtype.kind in "OUT" else values)


def _read_parquet(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    arrow, _ = import_arrow(path)
    table = read_arrow(path)
    raw = table.schema.metadata or {}
    about = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in raw.items()}
    if about.get(KIND) != _KIND:
        raise ValueError(f"{path}: no file of vectors of promptreid; its model's description is missing")
    return {name: _values(arrow, path, name, table[name].combine_chunks()) for name in table.column_names}, about


def _values(arrow: Any, path: Path, name: str, column: Any) -> np.ndarray:
    if column.null_count:
        raise ValueError(f"{path}: column {name!r} has {column.null_count} empty entries; write it again")
    if arrow.types.is_fixed_size_list(column.type):
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return np.array(flat).reshape(len(column), column.type.list_size)
    if arrow.types.is_string(column.type):
        return texts(column.to_pylist())
    if arrow.types.is_nested(column.type):
        raise ValueError(f"{path}: column {name!r} is of {column.type}; write it with save_embeddings")
    try:
        return np.array(column.to_numpy(zero_copy_only=False))
    except (arrow.ArrowException, OverflowError) as error:
        raise ValueError(f"{path}: column {name!r} is of {column.type} ({error}); write it again") from None
