"""Bytes as a source of decisions, so that a fuzzer of bytes can make structured inputs."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

TEXTS = (
    "",
    "a",
    "query",
    "gallery",
    "visible",
    "infrared",
    "-1",
    "0",
    "1e9",
    "nan",
    "None",
    "\0",
    "é",
    "\ud800",
    "x" * 5000,
)
NUMBERS = (0, 1, -1, 2, 3, 255, 2**31, -(2**31), 2**63 - 1, -(2**63), 2**63, 10**40, 0.5, -0.0, 1e300, float("inf"))
DTYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
_MOST = 5  # elements of a made container


class Source:
    """Decisions drawn from bytes; when they run out, every further one is the first of its kind.

    Args:
        content: the bytes.
    """

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    @property
    def spent(self) -> bool:
        """Whether no byte is left."""
        return self.place >= len(self.content)

    def number(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        size = max(1, ((high - low).bit_length() + 7) // 8)
        return low + int.from_bytes(self.bytes(size), "little") % (high - low + 1)

    def bytes(self, count: int) -> bytes:
        """The next bytes, fewer at the end."""
        found = self.content[self.place : self.place + count]
        self.place += count
        return found

    def rest(self) -> bytes:
        """All that is left."""
        return self.bytes(max(0, len(self.content) - self.place))

    def choice(self, options: Sequence[T]) -> T:
        """One of some."""
        return options[self.number(0, len(options) - 1)]

    def once_in(self, count: int) -> bool:
        """True once in so many times."""
        return self.number(0, count - 1) == count - 1

    def text(self) -> str:
        """A known text, or one of a few letters."""
        if self.once_in(2):
            return self.choice(TEXTS)
        letters = string.ascii_letters + string.digits + "_-./: \t\n\"'[]{}#&*"
        return "".join(self.choice(letters) for _ in range(self.number(0, 12)))

    def value(self, depth: int = 0) -> Any:
        """What JSON may hold."""
        kind = self.number(0, 7 if depth < 4 else 4)
        plain: list[Callable[[], Any]] = [
            lambda: None,
            lambda: self.once_in(2),
            lambda: self.choice(NUMBERS),
            lambda: self.number(-300, 300),
            self.text,
        ]
        if kind < len(plain):
            return plain[kind]()
        count = self.number(0, _MOST)
        if kind == 5:
            return [self.value(depth + 1) for _ in range(count)]
        return {self.text(): self.value(depth + 1) for _ in range(count)}

    def array(self) -> np.ndarray:
        """Numbers or texts of up to three small dimensions."""
        shape = tuple(self.number(0, 6) for _ in range(self.number(0, 3)))
        if self.once_in(5):
            texts = np.empty(shape or (1,), dtype=object)
            texts.reshape(-1)[:] = [self.text() for _ in range(texts.size)]
            return texts
        if self.once_in(4):
            return np.full(shape, np.nan)
        dtype = np.dtype(self.choice(DTYPES))
        content = self.bytes(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        raw = np.zeros(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, dtype=np.uint8)
        raw[: len(content)] = np.frombuffer(content, dtype=np.uint8)
        return (raw % 2 if dtype.kind == "b" else raw).view(dtype).reshape(shape)

    def altered(self, value: Any) -> Any:
        """JSON's kind of value with one part replaced, left out, doubled or added."""
        if isinstance(value, dict) and value and not self.once_in(8):
            name = self.choice(sorted(value))
            return self._altered_mapping(dict(value), name)
        if isinstance(value, list | tuple) and value and not self.once_in(8):
            place = self.number(0, len(value) - 1)
            changed = list(value)
            if self.once_in(3):
                return changed[:place] + changed[place + 1 :] if self.once_in(2) else [*changed, changed[place]]
            changed[place] = self.altered(changed[place])
            return changed
        return self.value()

    def altered_text(self, text: str) -> str:
        """The same of a text in JSON."""
        return json.dumps(self.altered(json.loads(text)))

    def altered_arrays(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Named arrays with a few replaced, renamed, cut or left out."""
        found = dict(arrays)
        for _ in range(self.number(0, 3)):
            if not found:
                break
            name = self.choice(sorted(found))
            kind = self.number(0, 4)
            if kind == 0:
                del found[name]
            elif kind == 1:
                found[name] = self.array()
            elif kind == 2:
                found[self.text()[:40] or "b"] = found.pop(name)
            elif kind == 3 and found[name].ndim:
                found[name] = found[name][: self.number(0, len(found[name]))]
            else:
                found[name] = (
                    found[name].astype(self.choice(DTYPES)) if found[name].dtype.kind in "fiub" else self.array()
                )
        return found

    def _altered_mapping(self, value: dict[str, Any], name: str) -> dict[str, Any]:
        kind = self.number(0, 5)
        if kind == 0:
            del value[name]
        elif kind == 1:
            value[self.text()] = self.value()
        elif kind == 2:
            value[name] = self.value()
        else:
            value[name] = self.altered(value[name])
        return value
