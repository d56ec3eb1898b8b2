"""The bytes of image files: of regular files alone, of a bounded size, with a bounded number of attempts."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, TypeVar

T = TypeVar("T")

MAX_BYTES = 300_000_000
"""Of one file: the largest image that is read, uncompressed with 16 bits in each of four channels, has 256 million."""
TRANSIENT = frozenset(
    getattr(errno, name)
    for name in ("EIO", "ESTALE", "ETIMEDOUT", "EAGAIN", "EREMOTEIO", "EHOSTDOWN", "ENETDOWN", "ENETUNREACH")
    if hasattr(errno, name)  # not every system has all of them
)
"""Error numbers that disks and network file systems give for a moment."""
ATTEMPTS = 3

_PAUSE = 0.2  # seconds, doubled after the second attempt; a busy network file system recovers in less
_OPENED = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class ImageError(ValueError):
    """An image that cannot be used; the message starts with its path."""


def read_bytes(path: str) -> bytes:
    """The whole content of an image file.

    Raises:
        FileNotFoundError: no such file.
        ImageError: no regular file, an empty or too large one, or one that the file system does not give.
    """
    return with_file(path, lambda file: file.read(MAX_BYTES + 1))


def with_file(path: str, action: Callable[[BinaryIO], T]) -> T:
    """What ``action`` makes of an opened image file; an error in :data:`TRANSIENT` is tried :data:`ATTEMPTS` times.

    A pipe or a device is refused without waiting for it. A read that the kernel itself does not return from, as on a
    network file system that is mounted ``hard`` and whose server is gone, cannot be ended from here.

    Raises:
        FileNotFoundError, ImageError: as :func:`read_bytes`, and what ``action`` raises.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _opened(path) as file:
                return action(file)
        except FileNotFoundError:
            raise FileNotFoundError(f"{path}: no such image file; is the data set complete?") from None
        except OSError as error:
            if error.errno is None:  # of a decoder, not of the file system
                raise
            if attempt == ATTEMPTS or error.errno not in TRANSIENT:
                raise ImageError(f"{path}: cannot be read ({_described(error, attempt)}); {_REMEDY}") from None
        except ValueError as error:
            if isinstance(error, ImageError) or "null" not in str(error):
                raise
            raise ImageError(f"{path!r}: no path can have a null character") from None
        time.sleep(_PAUSE * attempt)
    raise AssertionError("unreachable")


_REMEDY = "check the permissions and the disk or network that it is on, replace the file or remove it"


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """A file that may be read to its end; opened so that a pipe without a writer does not stop the process."""
    descriptor = os.open(path, _OPENED)
    try:
        _check(path, os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def _check(path: str, state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise ImageError(f"{path}: not a regular file but a folder, a pipe or a device; replace it or remove it")
    if not state.st_size:
        raise ImageError(f"{path}: the file is empty; replace the file or remove it")
    if state.st_size > MAX_BYTES:
        raise ImageError(f"{path}: {state.st_size} bytes; the limit for an image file is {MAX_BYTES}")


def _described(error: OSError, attempts: int) -> str:
    tried = f", {attempts} times" if attempts > 1 else ""
    return f"{error.strerror or error}, errno {error.errno}{tried}"
