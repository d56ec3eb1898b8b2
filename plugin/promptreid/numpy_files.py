"""numpy's files, ``.npy`` and ``.npz``: arrays of numbers and texts as large as their files say, or a ``ValueError``.

numpy takes memory for what an array's header says before it looks whether the file has that many bytes, and unpacks
whatever an archive holds.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

FREE = 64_000_000
"""Bytes that any file may take unpacked."""
GROWTH = 20
"""Times its size that a zip file may have unpacked; weights and features hardly shrink, zeros do."""


def unpacked_size(path: Path) -> int:
    """Bytes of a file, of a zip file (``.pth``, ``.pt``, ``.npz``) of what is in it.

    Raises:
        ValueError: a zip file that is far smaller than what it unpacks to.
    """
    size = path.stat().st_size
    try:
        if not zipfile.is_zipfile(path):
            return size
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise ValueError(f"{path} is a broken zip file ({error}); copy or download it again") from None
    if unpacked > GROWTH * size + FREE:
        raise ValueError(f"{path}: {size} bytes that unpack to {unpacked}, which no weights do; do not use it")
    return unpacked


def read_npz(path: Path, wanted: Sequence[str]) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Those of the wanted arrays that an ``.npz`` file has, and the names of all that are in it.

    Raises:
        ValueError: another or a broken file, an array of objects, or one of another size than its header says; or an
            archive that unpacks to far more than its size.
    """
    unpacked_size(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            for name in wanted:
                if name in entries:
                    _check_entry(archive, entries[name])
        with np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in wanted if name in entries}, list(entries)
    except Exception as error:  # zipfile, zlib, tokenize and numpy have a dozen types for broken files
        raise ValueError(
            f"{path}: not an .npz file of plain arrays ({error}); arrays of objects are not loaded, because they can "
            "run code: write it again"
        ) from None


def map_npy(path: Path, remedy: str) -> NDArray[Any]:
    """The array of an ``.npy`` file, mapped into memory.

    Args:
        path: of the file.
        remedy: what to do with another one, for messages.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a whole ``.npy`` file of numbers.
    """
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return np.asarray(loaded)
        loaded.close()
        reason = "an archive of several"
    except FileNotFoundError:
        raise
    except Exception as error:  # numpy's parser of headers has half a dozen types
        reason = str(error)
    raise ValueError(f"{path}: not a whole .npy file of numbers ({reason}); {remedy}")


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Compare what the header of an array claims with what is there."""
    with archive.open(entry) as file:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{entry.filename}: of version {version}")
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = header(file)
        count = 1
        for length in shape:
            count *= length
        if dtype.hasobject or min(shape, default=0) < 0 or count * dtype.itemsize != entry.file_size - file.tell():
            raise ValueError(f"{entry.filename}: {entry.file_size} bytes are no array of {dtype} and shape {shape}")
