"""What a parser may do with any input: read it, or refuse it with an error that names the file. Nothing else."""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ALLOWED = (ValueError, TypeError, OSError)
SECONDS = 10
"""Of processor time that one small input may take."""
KILOBYTES = 400_000
"""By which one small input may raise the process's largest memory so far."""

_FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "ctypes.dlopen",
)
_watch: dict[str, Any] = {"on": False, "seen": "", "folder": ""}


class Finding(AssertionError):
    """A parser did something else; the message is what."""


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        name: of the target.
        parse: writes the input into a folder and reads it; the second argument is the bytes.
        seeds: makes valid inputs and near ones.
        words: pieces that such files are made of.
        most: bytes of an input.
    """

    name: str
    parse: Callable[[Path, bytes], object]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()
    most: int = 4096


def outcome(target: Target, folder: Path, content: bytes) -> str:
    """Feed one input.

    Args:
        target: the parser.
        folder: an empty one, or one that the same target has used; its path is what errors have to name.
        content: the input.

    Returns:
        ``read`` or ``refused``.

    Raises:
        Finding: the parser broke its promise.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with _limited(), _watched(folder):
        try:
            target.parse(folder, content)
            found = "read"
        except ALLOWED as error:
            if isinstance(error, Finding):
                raise
            if str(folder) not in str(error):
                raise Finding(f"{target.name}: an error without the path: {error!r}") from error
            found = "refused"
        except Finding:
            raise
        except MemoryError as error:
            raise Finding(f"{target.name}: {error!r}") from error
        except Exception as error:
            raise Finding(f"{target.name}: {type(error).__name__}: {error}") from error
    if _watch["seen"]:
        raise Finding(f"{target.name}: {_watch['seen']}")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if grown > KILOBYTES:
        raise Finding(f"{target.name}: {grown // 1000} MB for an input of {len(content)} bytes")
    return found


@contextmanager
def _limited() -> Iterator[None]:
    """An alarm after :data:`SECONDS` of processor time."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Finding(f"more than {SECONDS} s of processor time")

    old = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, old)


@contextmanager
def _watched(folder: Path) -> Iterator[None]:
    """Note what starts programs, reaches for the network, or writes outside the folder."""
    if "hooked" not in _watch:
        sys.addaudithook(_audit)
        _watch["hooked"] = True
    _watch.update(on=True, seen="", folder=str(folder))
    try:
        yield
    finally:
        _watch["on"] = False


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watch["on"]:
        return
    if event in _FORBIDDEN and not _watch["seen"]:
        _watch["seen"] = f"{event} {arguments!r:.200}"
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        path = str(arguments[0])
        if not path.startswith((_watch["folder"], "/dev/")) and not _watch["seen"]:
            _watch["seen"] = f"it writes {path}"
