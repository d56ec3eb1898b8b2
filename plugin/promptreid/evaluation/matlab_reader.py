"""Numbers, texts and cells of MATLAB files, format 5 ("MAT-File Format", The MathWorks, R2024b).

scipy's reader of this format is compiled, and ends the process on files that lie about their types or nest cells
thousands of levels deep. This one is plain Python over numpy's views, takes no more memory than the file unpacks to,
and reads no structs, objects, functions or sparse matrices.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_FREE, _GROWTH = 64_000_000, 20  # as numpy_files has them
_DEEPEST = 4  # cells in cells; the official permutations of SYSU-MM01 have two levels
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CLASSES = {
    1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 6: "double", 7: "single", 8: "int8", 9: "uint8",
    10: "int16", 11: "uint16", 12: "int32", 13: "uint32", 14: "int64", 15: "uint64", 16: "function", 17: "opaque",
}  # fmt: skip
_COMPLEX = 0x0800
_BYTES_4 = (8, 4, 4, 2, 2, 1)  # of a number of format 4, by its type
_CHARACTERS_4, _SPARSE_4 = 1, 2


@dataclass(frozen=True)
class Variable:
    """A variable of a file.

    Attributes:
        name: its name.
        kind: MATLAB's class, such as ``double``, ``char`` and ``cell``.
        shape: its dimensions, two or more.
        content: the elements after the header.
        order: ``<`` or ``>``.
        is_complex: whether an imaginary part follows.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    content: memoryview
    order: str
    is_complex: bool

    def value(self, depth: int = 0) -> np.ndarray:
        """Numbers as they are stored, (N,) texts of a matrix of characters, or an array of objects of cells.

        Raises:
            ValueError: another kind, or one that does not fit its dimensions.
        """
        parts = _elements(self.content, self.order)
        if self.kind == "cell":
            return self._cells(parts, depth)
        if self.kind == "char":
            return self._texts(*next(parts, (1, memoryview(b""))))
        if self.kind in ("struct", "object", "sparse", "function", "opaque"):
            raise ValueError(f"{self.name}: a MATLAB {self.kind} is not read; save numbers, texts or cells of texts")
        found = self._numbers(*next(parts, (1, memoryview(b""))))
        return self._complex(found, *next(parts, (1, memoryview(b"")))) if self.is_complex else found

    def _complex(self, real: np.ndarray, kind: int, content: memoryview) -> np.ndarray:
        imaginary = self._numbers(kind, content)
        # Not real + 1j * imaginary: 0 times infinity would be the real part.
        found = np.empty(self.shape, np.result_type(real, imaginary, np.complex64))
        found.real, found.imag = real, imaginary
        return found

    def _cells(self, parts: Iterator[tuple[int, memoryview]], depth: int) -> np.ndarray:
        if depth >= _DEEPEST:
            raise ValueError(f"{self.name}: cells in cells, more than {_DEEPEST} levels deep")
        held = [_variable(content, self.order) for kind, content in parts if kind == _MATRIX]
        if len(held) != math.prod(self.shape):
            raise ValueError(f"{self.name}: {len(held)} cells for {self.shape}")
        found = np.empty(len(held), dtype=object)
        for place, cell in enumerate(held):
            found[place] = np.empty((0, 0)) if cell is None else cell.value(depth + 1)
        return found.reshape(self.shape, order="F")

    def _texts(self, kind: int, content: memoryview) -> np.ndarray:
        if kind in _TEXTS:
            coding = _TEXTS[kind] if kind == 16 else _TEXTS[kind] + ("-le" if self.order == "<" else "-be")
            units = np.array([ord(letter) for letter in str(content, coding)], dtype=np.int64)
        else:
            units = self._plain(kind, content).astype(np.int64)
        if len(self.shape) != 2:
            raise ValueError(f"{self.name}: characters of shape {self.shape}")
        if self.shape[0] > 1 and not self.shape[1]:  # each would take memory, and none is in the file
            raise ValueError(f"{self.name}: {self.shape[0]} texts without a letter")
        if self.shape[0] == 1 and kind in _TEXTS:  # dimensions count what UTF-16 takes
            rows = units[None]
        else:
            rows = self._shaped(units)
        return np.array(["".join(map(chr, row)) for row in rows.tolist()], dtype=str)

    def _numbers(self, kind: int, content: memoryview) -> np.ndarray:
        return self._shaped(self._plain(kind, content))

    def _plain(self, kind: int, content: memoryview) -> np.ndarray:
        if kind not in _NUMBERS:
            raise ValueError(f"{self.name}: data of type {kind}")
        return np.frombuffer(content, dtype=self.order + _NUMBERS[kind])

    def _shaped(self, values: np.ndarray) -> np.ndarray:
        if len(values) != math.prod(self.shape):
            raise ValueError(f"{self.name}: {len(values)} numbers for {self.shape}")
        return values.reshape(self.shape, order="F")


def version_of(path: Path) -> str:
    """``4``, ``5`` (MATLAB's versions 5 to 7) or ``7.3``, by a file's first bytes.

    Raises:
        ValueError: none of these.
    """
    with open(path, "rb") as file:
        head = file.read(_HEADER)
    if len(head) >= 20 and 0 in head[:4]:
        return "4"
    if head[124:128] in (b"\0\2IM", b"\2\0MI") or head.startswith((b"MATLAB 7.3", b"\x89HDF")):
        return "7.3"
    if head[124:128] in (b"\0\1IM", b"\1\0MI"):
        return "5"
    raise ValueError("it does not begin as one")


def check_format_4(path: Path) -> None:
    """Walk from header to header of a file of format 4.

    scipy's reader believes the headers. A matrix of -4 rows may then end where it begins, and is read again and again.

    Raises:
        ValueError: a header that is broken, or does not fit the file.
    """
    size, place = path.stat().st_size, 0
    with open(path, "rb") as file:
        order = "<" if int.from_bytes(file.read(4), "little") <= 5000 else ">"
        while place < size:
            file.seek(place)
            place += _length_4(file.read(20), order)
            if place > size:
                raise ValueError("a variable that ends behind the file")


def _length_4(header: bytes, order: str) -> int:
    """Bytes of a variable of format 4 with its header."""
    if len(header) < 20:
        raise ValueError("a header that is cut short")
    kind, rows, columns, imaginary, name = struct.unpack(f"{order}5i", header)
    number, matrix = divmod(kind % 1000, 10)
    if not 0 <= kind <= 5000 or number >= len(_BYTES_4) or matrix > _SPARSE_4:
        raise ValueError(f"a matrix of type {kind}")
    if rows < 0 or columns < 0 or name < 1:
        raise ValueError(f"a matrix of {rows} x {columns} with a name of {name} bytes")
    if matrix == _CHARACTERS_4 and rows > 1 and not columns:
        raise ValueError(f"{rows} texts without a letter")
    parts = 2 if imaginary == 1 and matrix != _SPARSE_4 else 1
    return 20 + name + rows * columns * _BYTES_4[number] * parts


def read_format_5(path: Path) -> dict[str, Variable]:
    """The variables of a file, their values not yet looked at.

    Raises:
        ValueError: a broken file, or one that unpacks to far more than its size.
    """
    content = memoryview(path.read_bytes())
    order = "<" if content[126:128] == b"IM" else ">"
    budget = _GROWTH * len(content) + _FREE
    found: dict[str, Variable] = {}
    for kind, part in _elements(content[_HEADER:], order):
        if kind == _COMPRESSED:
            part = _unpacked(part, budget)
            budget -= len(part)
            kind, part = next(_elements(part, order), (0, part))
        if kind != _MATRIX:
            raise ValueError(f"an element of type {kind} where a variable was expected")
        variable = _variable(part, order)
        if variable is not None and variable.name:  # a function's workspace has no name
            found[variable.name] = variable
    return found


def _variable(content: memoryview, order: str) -> Variable | None:
    """A matrix's header; None of an empty one."""
    if not len(content):
        return None
    parts = _elements(content, order)
    head = [next(parts, (0, memoryview(b""))) for _ in range(3)]
    if len(head[0][1]) != 8 or len(head[1][1]) % 4:
        raise ValueError("a matrix without flags or dimensions")
    flags = struct.unpack(f"{order}II", head[0][1])[0]
    kind = _CLASSES.get(flags & 0xFF, "")
    shape = tuple(np.frombuffer(head[1][1], dtype=f"{order}i4").tolist())
    if not kind or min(shape, default=-1) < 0 or not 2 <= len(shape) <= 32:
        raise ValueError(f"a matrix of class {flags & 0xFF} and shape {shape}")
    used = sum(_length(part, order) for part in _places(content, order, 3))
    name = bytes(head[2][1]).decode("latin-1")
    return Variable(name, kind, shape, content[used:], order, bool(flags & _COMPLEX))


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and data of each element."""
    for part in _places(content, order, None):
        kind, size, start = _tag(part, order)
        yield kind, part[start : start + size]


def _places(content: memoryview, order: str, count: int | None) -> Iterator[memoryview]:
    """What is left of the content at each element, the first ``count`` or all."""
    while len(content) >= 8 and count != 0:
        yield content
        content = content[_length(content, order) :]
        count = None if count is None else count - 1


def _length(content: memoryview, order: str) -> int:
    """Bytes of the first element with its tag, and with what fills up to 8 bytes; compressed ones have none of that."""
    kind, size, start = _tag(content, order)
    whole = start + size
    return 8 if start == 4 else whole if kind == _COMPRESSED else whole + -whole % 8


def _tag(content: memoryview, order: str) -> tuple[int, int, int]:
    """Type, bytes and place of an element's data."""
    kind, size = struct.unpack(f"{order}II", content[:8])
    if kind >> 16:  # up to four bytes, in the tag itself
        kind, size, start = kind & 0xFFFF, kind >> 16, 4
    else:
        start = 8
    if size > (4 if start == 4 else len(content) - start):
        raise ValueError(f"an element of {size} bytes where {len(content) - start} are left")
    return kind, size, start


def _unpacked(content: memoryview, most: int) -> memoryview:
    unpacker: Any = zlib.decompressobj()
    try:
        found = unpacker.decompress(content, most)
    except zlib.error as error:
        raise ValueError(f"a compressed variable is broken ({error})") from None
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError("a compressed variable is cut short, or far larger than the file")
    return memoryview(found)
