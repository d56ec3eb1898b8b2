"""Loader workers that end before their work: who it was, what the system says of it, and what to do."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_OF_TORCH = re.compile(r"DataLoader worker \(pid(\(s\))? [\d, ]+\)")
"""Beginning of what torch says of a dead worker, wherever the process is at that moment."""
_WHY = {
    "SIGKILL": "the kernel does so when memory runs out",
    "SIGBUS": "so it ends when shared memory runs out (/dev/shm), or a mapped file is cut short",
    "SIGSEGV": "a library that it uses has a fault",
}
_PATIENCE = 0.2  # seconds in which a dying process gets its exit code


class WorkerDied(ValueError):
    """A loader worker has ended before its work; its message says how and what to do."""


@contextmanager
def deaths_explained(iterator: Any = None) -> Iterator[None]:
    """Turn torch's errors about dead workers into :class:`WorkerDied`.

    Args:
        iterator: torch's, whose workers' exit codes are looked at; without it, torch's message tells what is known.
    """
    try:
        yield
    except WorkerDied:
        raise
    except (RuntimeError, OSError, EOFError) as error:
        told = isinstance(error, RuntimeError) and _OF_TORCH.match(str(error))
        # A worker that ends while it hands a batch over breaks the connection.
        deaths = _deaths(iterator) if told or isinstance(error, ConnectionError | EOFError | FileNotFoundError) else ""
        if not told and not deaths:
            raise
        raise WorkerDied(
            f"{deaths or str(error).splitlines()[0].rstrip('. ')}: take fewer of them (data.workers) or "
            "smaller batches, or free memory, then go on with --resume"
        ) from error


def _deaths(iterator: Any) -> str:
    """The workers that have ended with an error, and how."""
    found = []
    for worker in getattr(iterator, "_workers", ()):
        worker.join(_PATIENCE)
        code = worker.exitcode
        if code:
            found.append(f"loader worker {worker.pid} {_how(code)}")
    return " and ".join(found)


def _how(code: int) -> str:
    if code > 0:
        return f"has ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}" + (f" ({_WHY[name]})" if name in _WHY else "")
