"""Files and folders that appear whole or not at all, what killed writes have left, and locks of folders."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
"""Name of the file in a locked folder that says which process has it."""
OLD = 7 * 24 * 3600.0
"""Seconds after which a temporary file belongs to nobody, whatever its name says."""

NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC))
"""Error numbers of a disk that takes no more: full, a quota or limit reached, read-only, broken."""

_HOST = hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<process>\d+)-(?P<host>[0-9a-f]{8})\.tmp", re.DOTALL)
_being_written: set[Path] = set()
_OWNER = {"process": int, "host": str, "since": str}
_RETRIES, _PAUSE = 20, 0.01  # seconds; a lock that is only looked at is free again at once
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # what file systems without them answer


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path beside ``path`` that the block writes a file to; it becomes ``path``, on the disk, when the block ends.

    After an error, or a kill, ``path`` is what it was. Missing folders are created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(path) as temporary:
        yield temporary
        _sync(temporary, os.O_RDWR)
        os.replace(temporary, path)
    _sync_folder(path.parent)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name complete, or not at all."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        yield file


@contextmanager
def explained_writes(path: Path, remedy: str, only: Container[int] | None = None) -> Iterator[None]:
    """Turn a file system's refusal to write ``path`` into a ``ValueError`` that names it.

    Args:
        path: the file or folder, for the message.
        remedy: what to do.
        only: error numbers; any, when None.

    Raises:
        ValueError: instead of the ``OSError``, also of one behind another error, as torch's writer hides it.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = error if isinstance(error, OSError) else error.__context__
        if not isinstance(reason, OSError) or (only is not None and reason.errno not in only):
            raise
        raise ValueError(f"{path} could not be written ({reason.strerror or reason}); {remedy}") from error


def write_text(path: Path, text: str) -> None:
    """Write a whole text in UTF-8, or nothing."""
    with atomic_write(path) as file:
        file.write(text.encode())


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` that becomes ``path`` if the block succeeds, and vanishes if not.

    What killed attempts have left of it is removed. Its files are not synced one by one: a power cut may lose them.

    Raises:
        FileExistsError: ``path`` is there and is not an empty folder.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(f"{path} is there already and not an empty folder; remove it or choose another one")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path.name)
    with _temporary(path) as temporary:
        temporary.mkdir()
        yield temporary
        if path.exists():
            path.rmdir()
        os.replace(temporary, path)
    _sync_folder(path.parent)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what killed writes have left in a folder; what a living process is writing stays.

    A temporary file or folder goes if its process is gone, which can be told on one's own machine alone, or if it is
    :data:`OLD`.

    Args:
        folder: where to look, not below it.
        name: of the file or folder that was written; any, when None.
    """
    for path in folder.glob(".*"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and name in (None, match["name"]) and _is_abandoned(path, int(match["process"]), match["host"]):
            _remove(path)


def is_temporary(path: Path) -> bool:
    """Whether a path has the name of something that is being written, or was when its process died."""
    return bool(_TEMPORARY.fullmatch(path.name))


class FolderInUse(ValueError):
    """A folder that another process has locked; the message is who has it."""


class FolderLock:
    """Keeps a folder for this process.

    The kernel holds the lock, so a process that dies, however, gives it back; processes that it has forked do not keep
    it. Where there are no such locks (no module ``fcntl``), the file that names the process is the lock, and counts
    for nothing once that process, on this machine, is gone.

    Args:
        folder: created when missing; what is still empty in the end is removed again.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self._file: Any = None
        self._created: list[Path] = []

    def acquire(self) -> None:
        """Take the folder.

        Raises:
            FolderInUse: another process has it, or this one by another lock.
            OSError: the folder cannot be written to.
        """
        folder = self.path.parent
        self._created = [place for place in (folder, *folder.parents) if not place.exists()]
        for attempt in range(_RETRIES):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = _opened_and_locked(self.path)
            if self._file is not None:
                break
            time.sleep(_PAUSE if attempt + 1 < _RETRIES else 0)
        else:
            raise FolderInUse(_owner(self.path))
        _held.add(self)
        try:
            self._file.truncate(0)
            self._file.write(json.dumps(_this_process()).encode())
        except OSError:  # such as a full disk
            self.release()
            raise

    def move(self, folder: Path) -> None:
        """Go with the locked folder, which has been renamed to ``folder``."""
        self.path, self._created = folder / LOCK, []

    def release(self) -> None:
        """Give the folder back, if this process has it."""
        if self._file is None:
            return
        _held.discard(self)
        if fcntl is None:  # Windows removes no open file
            self._file.close()
        # While it is locked: nobody can have taken a file that is gone for the lock.
        self.path.unlink(missing_ok=True)
        self._file.close()
        self._file = None
        for place in self._created:
            try:
                place.rmdir()
            except OSError:  # it holds something by now
                break

    def forget(self) -> None:
        """Let go of a lock that belongs to the process that this one was forked from."""
        self._file.close()
        self._file = None


@contextmanager
def waited_for(folder: Path, pause: float = 0.5) -> Iterator[None]:
    """Keep a folder for this process during the block, once every other one has given it back.

    Args:
        folder: created when missing, and removed again when nothing is in it in the end.
        pause: seconds between two attempts.

    Raises:
        OSError: it cannot be written to.
    """
    lock = FolderLock(folder)
    while True:
        try:
            lock.acquire()
            break
        except FolderInUse:
            time.sleep(pause)
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):  # another waits for it, or something is in there
            folder.rmdir()


def user_of(folder: Path) -> str | None:
    """The process that has locked a folder, in words; None where none has."""
    path = folder / LOCK
    try:
        file = open(path, "rb")  # noqa: SIM115 (the lock lasts as long as it is open)
    except FileNotFoundError:
        return None
    with file:
        free = _lock(file, exclusively=False)
        if free is None:
            free = _is_dead_owner(path)
        return None if free else _owner(path)


_held: set[FolderLock] = set()


def _forget_locks() -> None:
    for lock in _held:
        lock.forget()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


def _opened_and_locked(path: Path) -> Any:
    """The lock file, taken; None where another has it, or has just removed it."""
    if fcntl is None:
        return _opened_alone(path)
    try:
        file = open(path, "a+b", buffering=0)  # noqa: SIM115 (the lock lasts as long as it is open)
        locked = _lock(file, exclusively=True)
        if locked and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except FileNotFoundError:  # it, or its folder, has just been removed
        return None
    file.close()
    return _opened_alone(path) if locked is None else None


def _opened_alone(path: Path) -> Any:
    """The lock file, newly made, or that of a process which is gone; None where another has it."""
    if path.exists() and (_is_dead_owner(path) or not path.stat().st_size):
        path.unlink(missing_ok=True)
    try:
        return open(path, "xb", buffering=0)
    except FileExistsError:
        return None


def _lock(file: Any, exclusively: bool) -> bool | None:
    """Whether the kernel has locked the file for this process; None where there are no such locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def _this_process() -> dict[str, Any]:
    return {"process": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}


def _owner(path: Path) -> str:
    owner = _read_owner(path)
    if owner is None:
        return f"another process (its lock is {path})"
    return f"process {owner['process']} on {owner['host']}, since {owner['since']} (its lock is {path})"


def _read_owner(path: Path) -> dict[str, Any] | None:
    """What the lock file says; None where its process has not written it yet."""
    try:
        owner = json.loads(path.read_bytes())
    except (FileNotFoundError, RecursionError, ValueError):
        return None
    whole = isinstance(owner, dict) and {name: type(part) for name, part in owner.items()} == _OWNER
    return owner if whole else None


def _is_dead_owner(path: Path) -> bool:
    owner = _read_owner(path)
    return owner is not None and owner["host"] == socket.gethostname() and not _is_alive(owner["process"])


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A path beside another, named after this process; what is there in the end is removed."""
    temporary = path.absolute().with_name(f".{path.name}.{os.getpid()}-{_HOST}.tmp")
    _remove(temporary)
    _being_written.add(temporary)
    try:
        yield temporary
    finally:
        _being_written.discard(temporary)
        _remove(temporary)


def _is_abandoned(path: Path, process: int, host: str) -> bool:
    if host == _HOST:
        if process == os.getpid():
            return path.absolute() not in _being_written  # of an earlier process with this number
        if not _is_alive(process):
            return True
    try:
        return time.time() - path.stat().st_mtime > OLD
    except FileNotFoundError:
        return False  # its process has finished


def _is_alive(process: int) -> bool:
    """Whether a process of this machine may be alive; signal 0 is no mere question outside POSIX."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):  # a number that no process has
        return False
    except PermissionError:
        pass  # somebody else's
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # others cannot open folders
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
