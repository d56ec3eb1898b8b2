"""Files of features: ``.npz``, ``.safetensors`` or ``.parquet``, one row per image. No format can run code.

MATLAB's ``.mat`` files are read, too (:mod:`promptreid.evaluation.matlab_files`). The keys are those of
:class:`FeatureTable`, whose lists of texts ``.safetensors`` keeps as JSON in its metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from promptreid.evaluation.features import Array, FeatureSet, as_ids, as_tensor, check_length
from promptreid.evaluation.matlab_files import read_matlab
from promptreid.evaluation.parquet_files import import_arrow, read_arrow
from promptreid.files import atomic_path
from promptreid.json_texts import parse_json
from promptreid.numpy_files import read_npz
from promptreid.safetensors_header import HeaderError, read_header

SPLITS = ("query", "gallery")
SUFFIXES = (".npz", ".safetensors", ".parquet")
READ_ONLY = ".mat"
_REQUIRED = ("features", "pids", "camids", "split")
_TEXTS = ("modality", "paths")
_OPTIONAL = (*_TEXTS, "scenes")


Read = tuple[dict[str, Any], list[str]]
"""The columns that a file has, and the names of all that is in it."""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of all test images of a data set, with the labels that protocols need.

    Attributes:
        features: (N, D) floats.
        pids: (N,) integer identities.
        camids: (N,) 0-based integer cameras, or whatever else the data set excludes on.
        split: (N,) ``"query"`` or ``"gallery"``; 0 and 1 will do.
        modality: (N,) names such as ``"visible"`` and ``"infrared"``; for protocols with a direction.
        paths: (N,) texts, different within a split; for results per query.
        scenes: (N,) integer scenes; for protocols that ask for them.

    Raises:
        ValueError: shapes, lengths or values that do not fit; the message names the key.
    """

    features: Array
    pids: np.ndarray
    camids: np.ndarray
    split: np.ndarray
    modality: np.ndarray | None = None
    paths: np.ndarray | None = None
    scenes: np.ndarray | None = None

    def __post_init__(self) -> None:
        features = as_tensor(self.features)
        if features.ndim != 2 or features.is_complex() or features.dtype == torch.bool:
            shape = tuple(features.shape)
            raise ValueError(f"features: expected N x D numbers, got {features.dtype} of shape {shape}")
        object.__setattr__(self, "split", _as_split(self.split))
        for name in ("pids", "camids", "scenes"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_ids(name, getattr(self, name)))
        for name in ("pids", "camids", "split", *_OPTIONAL):
            if getattr(self, name) is not None:
                check_length(name, len(getattr(self, name)), len(self.features), "features")

    def side(self, split: str) -> FeatureSet:
        """The images of ``"query"`` or ``"gallery"``, in their order.

        Raises:
            ValueError: there are none, or two have the same path.
        """
        rows = np.flatnonzero(self.split == split)
        if not len(rows):
            raise ValueError(f"split: no image belongs to the {split}")
        images = FeatureSet(as_tensor(self.features), self.pids, self.camids, self.scenes).select(rows)
        return images if self.paths is None else replace(images, names=self.paths[rows])

    @property
    def modalities(self) -> tuple[list[str], list[str]] | None:
        """Names of the modalities of queries and gallery; None when unknown."""
        if self.modality is None:
            return None
        query, gallery = (np.unique(self.modality[self.split == split]).tolist() for split in SPLITS)
        return query, gallery


def save_features(table: FeatureTable, path: str | Path) -> None:
    """Write a table; the file appears under its name when it is complete.

    Raises:
        ValueError: an unknown suffix, or Parquet without pyarrow.
    """
    path = Path(path)
    write = _pick(path, {".npz": _write_npz, ".safetensors": _write_safetensors, ".parquet": _write_parquet})
    columns = {name: getattr(table, name) for name in (*_REQUIRED, *_OPTIONAL) if getattr(table, name) is not None}
    with atomic_path(path) as part:
        write(columns | {"features": as_tensor(table.features).cpu()}, part)


def load_features(path: str | Path) -> FeatureTable:
    """Read a table; keys that are not those of :class:`FeatureTable` are left out.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown suffix, a broken file, a missing key, or values that do not fit.
    """
    path = Path(path)
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors, ".parquet": _read_parquet, READ_ONLY: _read_matlab}
    if path.suffix not in readers:
        raise ValueError(f"{path}: files of features end in {', '.join(readers)}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of features")
    columns, names = readers[path.suffix](path)
    missing = [name for name in _REQUIRED if name not in columns]
    if missing:
        raise ValueError(
            f"{path}: key {missing[0]!r} is missing; needed are {', '.join(_REQUIRED)}, and used where they are there "
            f"{', '.join(_OPTIONAL)}; it has {', '.join(sorted(names)) or 'nothing'}"
        )
    try:
        return FeatureTable(**columns)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}; write the file again") from None


def _as_split(values: Any) -> np.ndarray:
    array = np.asarray(values)
    if np.issubdtype(array.dtype, np.integer) and array.size and array.min() >= 0 and array.max() <= 1:
        array = np.array(SPLITS)[array]
    strangers = np.setdiff1d(array.astype(str), SPLITS)
    if array.ndim != 1 or len(strangers):
        raise ValueError(f"split: expected a flat list of {SPLITS} (or 0 and 1), got {strangers[:3].tolist()}")
    return array.astype(str)


def check_features_path(path: str | Path) -> None:
    """Raise ``ValueError`` now rather than after hours of work, if the file could not be written for its suffix."""
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: files of features end in {', '.join(SUFFIXES)}")
    if path.suffix == ".parquet":
        import_arrow(path)


def _pick(path: Path, functions: Mapping[str, Any]) -> Any:
    check_features_path(path)
    return functions[path.suffix]


def _write_npz(columns: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, **{**columns, "features": _as_numpy(columns["features"])})


def _read_npz(path: Path) -> Read:
    return read_npz(path, (*_REQUIRED, *_OPTIONAL))


def _write_safetensors(columns: dict[str, Any], path: Path) -> None:
    from safetensors.torch import save_file

    texts = {name: json.dumps(columns.pop(name).tolist()) for name in _TEXTS if name in columns}
    split = np.array([SPLITS.index(value) for value in columns.pop("split")])
    tensors = {name: as_tensor(values).contiguous() for name, values in {**columns, "split": split}.items()}
    save_file(tensors, path, metadata=texts)


def _read_safetensors(path: Path) -> Read:
    from safetensors import SafetensorError, safe_open

    try:
        read_header(path)
        with safe_open(path, framework="pt") as file:
            columns = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            texts = {name: _texts_of(name, text) for name, text in (file.metadata() or {}).items() if name in _TEXTS}
    except (SafetensorError, OSError, ValueError) as error:
        problem = error.problem if isinstance(error, HeaderError) else error
        raise ValueError(f"{path}: not a valid .safetensors file ({problem}); copy or write it again") from None
    names = [*columns, *texts]
    columns = {name: value for name, value in columns.items() if name in (*_REQUIRED, "scenes")}
    return {name: v if name == "features" else v.numpy() for name, v in columns.items()} | texts, names


def _write_parquet(columns: dict[str, Any], path: Path) -> None:
    arrow, parquet = import_arrow(path)
    features = _as_numpy(columns["features"])
    lists = arrow.FixedSizeListArray.from_arrays(arrow.array(features.ravel()), features.shape[1])
    others = {name: values.tolist() for name, values in columns.items() if name != "features"}
    parquet.write_table(arrow.table({**others, "features": lists}), path)


def _read_parquet(path: Path) -> Read:
    table = read_arrow(path)
    columns = {name: table[name] for name in (*_REQUIRED, *_OPTIONAL) if name in table.column_names}
    try:
        texts = {name: np.array(column.to_pylist()) for name, column in columns.items() if name != "features"}
        features = columns.get("features")
        stacked = {} if features is None else {"features": _stack(features.combine_chunks())}
    except Exception as error:  # pyarrow's of columns of other types, Python's of times that it does not have
        raise ValueError(f"{path}: not a Parquet file of features ({error}); write it again") from None
    return texts | stacked, list(table.column_names)


def _read_matlab(path: Path) -> Read:
    try:
        return read_matlab(path, (*_REQUIRED, *_OPTIONAL))
    except ValueError as error:
        named = str(error).startswith(f"{path}: ")
        raise ValueError(str(error) if named else f"{path}: {error}") from None


def _texts_of(name: str, text: str) -> np.ndarray:
    """The texts of a list in JSON."""
    values = parse_json(text)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name}: expected a list of texts")
    return np.array(values, dtype=str)


def _as_numpy(features: torch.Tensor) -> np.ndarray:
    """numpy knows no bfloat16."""
    return np.asarray((features.float() if features.dtype == torch.bfloat16 else features).numpy())


def _stack(lists: Any) -> np.ndarray:
    """(N, D) of a column of equally long lists."""
    if not hasattr(lists, "value_lengths"):
        raise ValueError(f"features: expected lists of numbers, got {lists.type}")
    if lists.null_count:
        raise ValueError(f"features: {lists.null_count} rows are empty")
    values = lists.flatten().to_numpy(zero_copy_only=False)
    lengths = np.unique(lists.value_lengths().to_numpy(zero_copy_only=False))
    if len(lengths) > 1:
        raise ValueError(f"features: lists of {lengths[:3].tolist()} numbers; all must be equally long")
    return np.asarray(values).reshape(len(lists), int(lengths[0]) if len(lengths) else 0)
