"""How many values a Parquet file says that it has, read from its footer without pyarrow.

pyarrow ends the process where the statistics of a broken footer contradict each other, as soon as it is asked for a
column's number of values. The footer is in Thrift's compact protocol (``parquet.thrift`` of the Apache Parquet format:
FileMetaData, field 3 the rows, field 4 the row groups; RowGroup, field 1 the columns; ColumnChunk, field 3 its
metadata; ColumnMetaData, field 5 the values).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_MAGIC = b"PAR1"
_DEEPEST = 20
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12


def values_in(path: Path) -> int:
    """The number of values of all columns of a file, or of its rows where these are more.

    Raises:
        ValueError: no footer, or a broken one.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC or length > size - 8:
            raise ValueError(f"a footer of {length} bytes in a file of {size}")
        file.seek(size - 8 - length)
        footer = _Footer(file.read(length)).struct(0)
    groups = [group for group in _list(footer.get(4)) if isinstance(group, dict)]
    columns = [column for group in groups for column in _list(group.get(1)) if isinstance(column, dict)]
    about = [column.get(3) for column in columns]
    values = sum(_number(one.get(5)) for one in about if isinstance(one, dict))
    return max(values, _number(footer.get(3)), sum(_number(group.get(3)) for group in groups))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


class _Footer:
    """Reads one value after the other; all take a byte at least, so that no header can ask for more than there is."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def struct(self, depth: int) -> dict[int, Any]:
        """Values by the number of their field."""
        if depth > _DEEPEST:
            raise ValueError("a footer that is nested too deeply")
        found: dict[int, Any] = {}
        field = 0
        while (head := self._bytes(1)[0]) != _STOP:
            field = field + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            found[field] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._bytes(1)[0]
        if kind < _DOUBLE:
            return self._signed()
        if kind in (_DOUBLE, _BINARY):
            return self._bytes(8 if kind == _DOUBLE else self._plain())
        if kind in (_LIST, _SET):
            head = self._bytes(1)[0]
            count = self._plain() if head >> 4 == 15 else head >> 4
            return [self._value(head & 15, depth + 1) for _ in range(self._fitting(count))]
        if kind == _MAP:
            count = self._fitting(self._plain())
            kinds = self._bytes(1)[0] if count else 0
            return [(self._value(kinds >> 4, depth + 1), self._value(kinds & 15, depth + 1)) for _ in range(count)]
        if kind == _STRUCT:
            return self.struct(depth + 1)
        raise ValueError(f"a footer with a value of type {kind}")

    def _fitting(self, count: int) -> int:
        if count > len(self.content) - self.place:
            raise ValueError(f"a footer with a list of {count} values, longer than itself")
        return count

    def _bytes(self, count: int) -> bytes:
        if count > len(self.content) - self.place:
            raise ValueError("a footer that is cut short")
        self.place += count
        return self.content[self.place - count : self.place]

    def _plain(self) -> int:
        """A number of up to 64 bits, seven in each byte."""
        number = 0
        for shift in range(0, 70, 7):
            byte = self._bytes(1)[0]
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise ValueError("a footer with a number of more than 64 bits")

    def _signed(self) -> int:
        number = self._plain()
        return (number >> 1) ^ -(number & 1)
