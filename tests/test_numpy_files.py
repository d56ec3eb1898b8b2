"""``.npy`` and ``.npz`` files are the arrays that were written, or an error, and take no memory by mere numbers."""

from __future__ import annotations

import io
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from promptreid.numpy_files import map_npy, read_npz, unpacked_size

KINDS = arrays.scalar_dtypes().filter(lambda kind: kind.kind in "fiubU")


@given(array=arrays.arrays(KINDS, arrays.array_shapes(min_dims=0, min_side=0, max_side=4)), packed=st.booleans())
def test_arrays_are_what_was_written(array: np.ndarray, packed: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "a.npz"
    (np.savez_compressed if packed else np.savez)(path, a=array, b=np.ones(2))
    found, names = read_npz(path, ["a", "c"])
    assert (list(found), names) == (["a"], ["a", "b"])
    assert found["a"].dtype == array.dtype
    np.testing.assert_array_equal(found["a"], array)


def archive(path: Path, shape: str, data: bytes, kind: str = "<f4") -> Path:
    file = io.BytesIO()
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    file.write(b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode() + data)
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a.npy", file.getvalue())
    return path


@pytest.mark.parametrize(
    ("shape", "kind"), [("(1000000000, 1000)", "<f4"), ("(3,)", "<f4"), ("(-2,)", "<f4"), ("(1,)", "|O"), ("(", "<f4")]
)
def test_headers_that_lie_are_refused_before_memory_is_taken(shape: str, kind: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", shape, bytes(8), kind)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"a\.npz: not an \.npz file of plain arrays .* can run code: write it again"):
        read_npz(path, ["a"])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert read_npz(archive(path, "(2,)", bytes(8)), ["a"])[0]["a"].tolist() == [0, 0]


def test_zeros_that_unpack_to_far_more_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as made, made.open("a.npy", "w") as file:
        for _ in range(80):
            file.write(bytes(1_000_000))
    for read in (unpacked_size, lambda path: read_npz(path, ["a"])):
        with pytest.raises(ValueError, match=r"a\.npz: \d+ bytes that unpack to 80000000"):
            read(tmp_path / "a.npz")


def test_a_mapped_array_and_what_is_none(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    assert map_npy(tmp_path / "a.npy", "write it anew")[1].tolist() == [3, 4, 5]
    np.savez(tmp_path / "b.npy.npz", a=np.ones(1))
    (tmp_path / "c.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    for name in ("b.npy.npz", "c.npy"):
        with pytest.raises(ValueError, match=rf"{name}: not a whole \.npy file of numbers \(.+\); write it anew"):
            map_npy(tmp_path / name, "write it anew")
    with pytest.raises(FileNotFoundError):
        map_npy(tmp_path / "d.npy", "write it anew")
