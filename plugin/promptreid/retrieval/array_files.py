"""Files of plain arrays and texts, as ``.safetensors``: they cannot run code, and each names its kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from promptreid.files import atomic_path, explained_writes
from promptreid.json_texts import parse_json
from promptreid.safetensors_header import HeaderError, read_header

KIND, VERSION = "kind", "layout"
"""Keys of a file's metadata: what it holds, and by which layout."""
REMEDY = "what was there before is whole: make room, or write elsewhere"
"""After a write that the file system has refused."""
_ABOUT = "promptreid"  # the one key of the metadata
_DIGESTS = "sha256"
_OFFSETS = ".offsets"
_TEXT = "surrogateescape"  # names of files need not be UTF-8


def write_arrays(
    path: Path, kind: str, version: int, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write a file that appears under its name whole, or not at all.

    Args:
        path: ends in ``.safetensors``.
        kind: what it holds, as :func:`read_arrays` is asked.
        version: of the layout.
        arrays: numbers, booleans, or texts: these become their UTF-8 bytes and ``NAME.offsets``.
        metadata: texts by name.

    Raises:
        ValueError: the file system refuses; what was there before is whole.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    tensors: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if array.dtype.kind in "OUT":
            tensors[name], tensors[name + _OFFSETS] = _packed(array)
        else:
            tensors[name] = np.ascontiguousarray(array)
    digests = json.dumps({name: _digest(array) for name, array in tensors.items()})
    with (
        explained_writes(path, REMEDY),
        atomic_path(path) as part,
    ):
        # One entry, since safetensors writes several in an order that changes from one time to the next.
        about = json.dumps({**metadata, KIND: kind, VERSION: str(version), _DIGESTS: digests}, sort_keys=True)
        try:
            save_file(tensors, part, metadata={_ABOUT: about})
        except SafetensorError as error:  # which hides what the file system has said
            raise OSError(str(error)) from None


def read_arrays(path: Path, kind: str, newest: int) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read the arrays and the metadata of a file of :func:`write_arrays`.

    Args:
        path: of the file.
        kind: what it has to hold.
        newest: the newest layout that the caller knows.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a broken file, one of another kind, or of a newer layout.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such {kind}")
    try:
        read_header(path)
        with safe_open(path, framework="np") as file:
            metadata = _about(file.metadata() or {})
            _check(path, metadata, kind, newest)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, TypeError, HeaderError) as error:
        problem = error.problem if isinstance(error, HeaderError) else error
        raise ValueError(f"{path}: not a valid .safetensors file ({problem}); copy or write it again") from None
    if _expected(metadata.pop(_DIGESTS, "")) != {name: _digest(array) for name, array in arrays.items()}:
        raise ValueError(f"{path}: its arrays are not those that were written; copy or write it again")
    return _unpacked(path, arrays), metadata


def texts(values: Sequence[object] | np.ndarray) -> np.ndarray:
    """(N,) objects as an array of texts; one of dtype object, which keeps their lengths."""
    found = np.empty(len(values), dtype=object)
    found[:] = [str(value) for value in values]
    return found


def _about(metadata: Mapping[str, str]) -> dict[str, str]:
    """What :func:`write_arrays` was told; empty for another file."""
    try:
        found = parse_json(metadata.get(_ABOUT, "{}"))
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _check(path: Path, metadata: Mapping[str, str], kind: str, newest: int) -> None:
    if metadata.get(KIND) != kind:
        found = metadata.get(KIND, "something else")
        raise ValueError(f"{path}: holds {found}, not {kind} of promptreid")
    version = metadata.get(VERSION, "")
    if version not in [str(number) for number in range(1, newest + 1)]:
        raise ValueError(f"{path}: has layout {version[:20]!r}, and this promptreid reads 1 to {newest}; update it")


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()


def _expected(text: str) -> object:
    try:
        return parse_json(text)
    except ValueError:
        return None


def _packed(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of all texts, and where each begins, with the end of the last."""
    encoded = [str(value).encode("utf-8", _TEXT) for value in values]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets


def _unpacked(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = [name.removesuffix(_OFFSETS) for name in arrays if name.endswith(_OFFSETS)]
    for name in names:
        offsets = arrays.pop(name + _OFFSETS)
        held = arrays.get(name)
        whole = held is not None and held.dtype == np.uint8 and held.ndim == 1 and offsets.ndim == 1
        if not whole or offsets.dtype != np.int64 or not len(offsets) or _out_of(offsets, len(arrays[name])):
            raise ValueError(f"{path}: {name}: its texts do not fit their offsets; the file is broken")
        content = arrays[name].tobytes()
        parts = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        arrays[name] = texts([content[start:stop].decode("utf-8", _TEXT) for start, stop in parts])
    return arrays


def _out_of(offsets: np.ndarray, size: int) -> bool:
    return bool(offsets[0] != 0 or offsets[-1] != size or (np.diff(offsets) < 0).any())
