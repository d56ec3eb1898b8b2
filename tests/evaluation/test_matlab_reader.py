"""Our reader of MATLAB's format 5 gives what scipy's gives, and survives what scipy's does not."""

from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from promptreid.evaluation.matlab_files import read_variables
from promptreid.evaluation.matlab_reader import read_format_5, version_of

NUMBERS = arrays.arrays(
    st.sampled_from(["f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "c16"]),
    arrays.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=4),
    elements={"allow_nan": False},
)
TEXTS = st.text(st.characters(codec="latin-1", exclude_categories=["C"]), min_size=1, max_size=6)


def saved(path: Path, **variables: Any) -> Path:
    scipy.io.savemat(path, variables)
    return path


@given(values=NUMBERS, packed=st.booleans())
def test_numbers_are_as_scipy_reads_them(values: np.ndarray, packed: bool, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "numbers.mat"
    scipy.io.savemat(path, {"a": values, "b": np.ones((1, 2))}, do_compression=packed)
    found = read_format_5(path)
    theirs = scipy.io.loadmat(path)["a"]
    assert list(found) == ["a", "b"]
    assert found["a"].shape == values.shape
    np.testing.assert_array_equal(found["a"].value(), theirs)
    assert found["a"].value().dtype.newbyteorder("=") == theirs.dtype


def test_an_infinite_imaginary_part_leaves_the_real_one_as_it_is(tmp_path: Path) -> None:
    values = np.array([[complex(0.0, np.inf), complex(-0.0, 2.0), complex(np.inf, np.nan)]])
    found = read_format_5(saved(tmp_path / "a.mat", a=values))["a"].value()
    np.testing.assert_array_equal(found.view(np.float64), values.view(np.float64))


@given(rows=st.lists(TEXTS, min_size=1, max_size=4))
def test_texts_and_cells_are_as_scipy_reads_them(rows: list[str], tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "texts.mat"
    cells = np.empty((len(rows), 1), dtype=object)
    cells[:, 0] = rows
    width = max(map(len, rows))
    matrix = np.array([row.ljust(width) for row in rows])
    found = read_format_5(saved(path, cells=cells, matrix=matrix))
    theirs = scipy.io.loadmat(path)
    assert [cell.item() for cell in found["cells"].value().ravel()] == [cell.item() for cell in theirs["cells"].ravel()]
    assert found["matrix"].value().tolist() == theirs["matrix"].tolist()


def test_the_other_order_of_bytes(tmp_path: Path) -> None:
    flags, dims = struct.pack(">IIII", 6, 8, 6, 0), struct.pack(">IIii", 5, 8, 1, 2)
    body = flags + dims + struct.pack(">HH4s", 1, 1, b"a\0\0\0") + struct.pack(">IIdd", 9, 16, 1.5, 2.5)
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\1\0MI" + struct.pack(">II", 14, len(body)) + body)
    np.testing.assert_array_equal(scipy.io.loadmat(path)["a"], [[1.5, 2.5]])
    np.testing.assert_array_equal(read_format_5(path)["a"].value(), [[1.5, 2.5]])


@pytest.mark.parametrize(("rows", "letters"), [(2**29, 0), (2, 0), (2**31 - 1, 2**31 - 1)])
def test_a_matrix_of_texts_that_the_file_does_not_hold_is_refused(tmp_path: Path, rows: int, letters: int) -> None:
    flags, dims = struct.pack("<IIII", 6, 8, 4, 0), struct.pack("<IIii", 5, 8, rows, letters)
    body = flags + dims + struct.pack("<HH4s", 1, 1, b"a\0\0\0") + struct.pack("<II", 16, 0)
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\0\1IM" + struct.pack("<II", 14, len(body)) + body)
    with pytest.raises(ValueError, match=r"a\.mat: .*a: (\d+ texts without a letter|0 numbers for)"):
        read_variables(path, None)


def test_cells_that_are_nested_twenty_thousand_levels_deep(tmp_path: Path) -> None:
    """A megabyte, on which scipy's reader ends the process."""

    def element(kind: int, content: bytes) -> bytes:
        return struct.pack("<II", kind, len(content)) + content

    def header(kind: int, name: bytes) -> bytes:
        shape = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack("<ii", 1, 1))
        return shape + element(1, name.ljust(8, b"\0")) if name else shape + element(1, b"")

    inner = element(14, header(6, b"") + element(9, struct.pack("<d", 1.0)))
    for _ in range(20_000):
        inner = element(14, header(1, b"") + inner)
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\0\1IM" + element(14, header(1, b"features") + inner))
    started = time.process_time()
    with pytest.raises(ValueError, match=r"a\.mat: .*cells in cells, more than 4 levels deep.*save it with '-v7'"):
        read_variables(path, None)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("kind", ["struct", "sparse"])
def test_what_is_neither_numbers_nor_texts_is_named(kind: str, tmp_path: Path) -> None:
    import scipy.sparse

    value: Any = {"x": 1.0} if kind == "struct" else scipy.sparse.csc_matrix(np.eye(2))
    path = saved(tmp_path / "a.mat", odd=value, fine=np.ones((1, 2)))
    assert read_variables(path, ["fine"])[0]["fine"].tolist() == [[1, 1]]
    with pytest.raises(ValueError, match=f"odd: a MATLAB {kind} is not read; save numbers, texts or cells"):
        read_variables(path, ["odd"])


def test_a_small_file_that_unpacks_to_a_large_one(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"a": np.zeros((10_000, 1000))}, do_compression=True)
    with pytest.raises(ValueError, match="cut short, or far larger than the file"):
        read_variables(tmp_path / "a.mat", None)


def test_versions(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "4.mat", {"a": np.ones((2, 2))}, format="4")
    assert version_of(tmp_path / "4.mat") == "4"
    assert read_variables(tmp_path / "4.mat", None)[0]["a"].tolist() == [[1, 1], [1, 1]]
    assert version_of(saved(tmp_path / "5.mat", a=1.0)) == "5"
    (tmp_path / "7.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + b"\x89HDF")
    assert version_of(tmp_path / "7.mat") == "7.3"
    (tmp_path / "none.mat").write_bytes(b"x" * 200)
    with pytest.raises(ValueError, match="does not begin as one"):
        version_of(tmp_path / "none.mat")


# Format 4


def format_4(rows: int, columns: int, kind: int = 0, name: bytes = b"a\0", content: bytes = b"") -> bytes:
    return struct.pack("<iiiii", kind, rows, columns, 0, len(name)) + name + content


@given(values=arrays.arrays(st.sampled_from(["f4", "f8", "i2", "i4", "u1", "u2", "c16"]),
                            arrays.array_shapes(min_dims=2, max_dims=2, max_side=4), elements={"allow_nan": False}),
       rows=st.lists(TEXTS, min_size=1, max_size=3))  # fmt: skip
def test_format_4_is_as_scipy_reads_it(values: np.ndarray, rows: list[str], tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "4.mat"
    scipy.io.savemat(path, {"a": values, "texts": np.array(rows), "b": np.ones((1, 2))}, format="4")
    found, sizes = read_variables(path, None)
    theirs = scipy.io.loadmat(path)
    assert sizes["a"] == values.shape and list(sizes) == ["a", "texts", "b"]
    for name in sizes:
        np.testing.assert_array_equal(found[name], theirs[name])


def test_format_4_in_the_other_order_of_bytes(tmp_path: Path) -> None:
    path = tmp_path / "4.mat"
    path.write_bytes(struct.pack(">iiiii", 1000, 1, 2, 0, 2) + b"a\0" + struct.pack(">dd", 1.5, 2.5))
    np.testing.assert_array_equal(read_variables(path, None)[0]["a"], [[1.5, 2.5]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # Its end would be its beginning: 20 bytes of header, 12 of the name, and -4 numbers.
        (format_4(-4, 1, name=b"a".ljust(12, b"\0")), r"a matrix of -4 x 1"),
        (format_4(1, -1), r"a matrix of 1 x -1"),
        (format_4(2**31 - 1, 2**31 - 1), r"a variable that ends behind the file"),
        (format_4(2**29, 0, kind=1), r"536870912 texts without a letter"),
        (format_4(1, 1, content=bytes(8))[:-4] , r"a variable that ends behind the file"),
        (format_4(1, 1, content=bytes(12)), r"a header that is cut short"),
        (format_4(0, 0, kind=90), r"a matrix of type 90"),
    ],
)  # fmt: skip
def test_broken_files_of_format_4_are_refused_at_once(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "4.mat").write_bytes(content)
    started = time.process_time()
    with pytest.raises(ValueError, match=rf"4\.mat: not a MATLAB file that can be read \(.*{message}"):
        read_variables(tmp_path / "4.mat", None)
    assert time.process_time() - started < 1
