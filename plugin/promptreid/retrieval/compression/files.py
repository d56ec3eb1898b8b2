"""Compressors in files: alone, or inside a file of vectors or a gallery, which is then complete."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from promptreid.json_texts import parse_json
from promptreid.retrieval.array_files import read_arrays, write_arrays
from promptreid.retrieval.compression.compressor import Compressor
from promptreid.retrieval.compression.projection import Projection
from promptreid.retrieval.compression.storage import storage_of
from promptreid.retrieval.description import ModelDescription

SUFFIX = ".safetensors"
_KIND, _LAYOUT = "compressor", 1
_PREFIX = "compressor."
_ABOUT = "compressor"


def check_compressor_path(path: str | Path) -> None:
    """Raise ``ValueError`` before the work starts, if no compressor can be written to this path."""
    if Path(path).suffix != SUFFIX:
        raise ValueError(f"{path}: files of compressors end in {SUFFIX}")


def save_compressor(compressor: Compressor, path: str | Path) -> None:
    """Write a compressor; the file appears under its name when it is complete.

    Raises:
        ValueError: another suffix than ``.safetensors``.
    """
    check_compressor_path(path)
    write_arrays(Path(path), _KIND, _LAYOUT, *packed(compressor))


def load_compressor(path: str | Path) -> Compressor:
    """Read what :func:`save_compressor` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a broken file or another kind of file.
    """
    arrays, about = read_arrays(Path(path), _KIND, _LAYOUT)
    try:
        found = unpacked(arrays, about)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; write it again") from None
    if found is None:
        raise ValueError(f"{path}: has no compressor")
    return found


def packed(compressor: Compressor | None) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and metadata for a file; none without a compressor."""
    if compressor is None:
        return {}, {}
    about = {
        "model": compressor.model.to_json(),
        "whiten": compressor.whiten,
        "store": compressor.storage.name,
        "projections": len(compressor.projections),
        "sha256": compressor.digest,
    }
    arrays = {_PREFIX + name: array for name, array in compressor.arrays().items()}
    return arrays, {_ABOUT: json.dumps(about)}


def unpacked(arrays: dict[str, np.ndarray], about: Mapping[str, str]) -> Compressor | None:
    """The compressor of a file, whose arrays are taken out of ``arrays``; None where there is none.

    Raises:
        ValueError: arrays and metadata that do not fit.
    """
    own = {name.removeprefix(_PREFIX): arrays.pop(name) for name in list(arrays) if name.startswith(_PREFIX)}
    if _ABOUT not in about:
        return None
    try:
        told = parse_json(about[_ABOUT])
        projections = tuple(Projection(own[f"mean-{n}"], own[f"axes-{n}"]) for n in range(int(told["projections"])))
        found = Compressor(
            ModelDescription.from_json(told["model"]), projections, bool(told["whiten"]), storage_of(told["store"], own)
        )
        if found.digest != told["sha256"]:
            raise ValueError("its sha256 is another")
        found.check()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"not a compressor ({error})") from None
    return found
