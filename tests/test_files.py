"""Files and folders that are whole or not there, whoever dies; leftovers of the dead alone go; locks end with them."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import Faults
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreid import files
from promptreid.files import (
    LOCK,
    OLD,
    FolderInUse,
    FolderLock,
    atomic_folder,
    atomic_path,
    atomic_write,
    is_temporary,
    remove_leftovers,
    user_of,
    write_text,
)

ALONE = f"import sys; sys.path.append({str(Path(files.__file__).parent)!r})\n"
"""Makes ``import files`` of a script the module under test, which needs nothing else of the package."""
OLD_TEXT, NEW_TEXT = b"old" * 500, b"new" * 700


def write_file(path: Path) -> None:
    with atomic_write(path) as file:
        file.write(NEW_TEXT)


def write_path(path: Path) -> None:
    with atomic_path(path) as temporary, files.open(temporary, "wb") as file:  # type: ignore[attr-defined]
        file.write(NEW_TEXT)


def write_folder(path: Path) -> None:
    with atomic_folder(path) as folder:
        (folder / "a").write_bytes(NEW_TEXT)
        (folder / "b").mkdir()
        (folder / "b" / "c").write_bytes(NEW_TEXT)


def no_file(path: Path) -> None:
    path.write_bytes(OLD_TEXT)


def empty_folder(path: Path) -> None:
    path.mkdir()


WRITERS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None], int]] = {
    "file": (no_file, write_file, 8),
    "path": (no_file, write_path, 8),
    "folder": (empty_folder, write_folder, 6),
}


def is_old(path: Path) -> bool:
    return not any(path.iterdir()) if path.is_dir() else path.is_file() and path.read_bytes() == OLD_TEXT


def is_new(path: Path) -> bool:
    if path.is_dir():
        written = {str(part.relative_to(path)): part.read_bytes() for part in path.rglob("*") if part.is_file()}
        return written == {"a": NEW_TEXT, "b/c": NEW_TEXT}
    return path.is_file() and path.read_bytes() == NEW_TEXT


def disk_full() -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("name", WRITERS)
def test_whatever_call_fails_the_old_or_the_new_is_there_whole(name: str, tmp_path: Path) -> None:
    before, write, least = WRITERS[name]
    outcomes = []
    for at in itertools.count(1):
        path = tmp_path / str(at) / "target"
        path.parent.mkdir()
        before(path)
        faults = Faults(at, disk_full)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "open", open, raising=False)
            faults.install(patch)
            try:
                write(path)
            except OSError as error:
                assert error.errno == 28
        # An empty folder that stood for the new one may be gone; a file never.
        outcomes.append(is_new(path))
        assert is_new(path) or is_old(path) or (name == "folder" and not path.exists())
        if faults.count < at:
            break
    assert len(outcomes) > least
    assert outcomes == sorted(outcomes) and outcomes[-1] and not outcomes[0]


@pytest.mark.parametrize("name", WRITERS)
def test_wherever_a_process_dies_the_old_or_the_new_is_there_whole(name: str, tmp_path: Path) -> None:
    """And the next one tidies up, which an error has done itself."""
    before, write, least = WRITERS[name]
    died = 0
    for at in itertools.count(1):
        path = tmp_path / str(at) / "target"
        path.parent.mkdir()
        before(path)
        process = os.fork()
        if process == 0:
            patch = pytest.MonkeyPatch()
            patch.setattr(files, "open", open, raising=False)
            Faults(at, lambda: os.kill(os.getpid(), signal.SIGKILL)).install(patch)
            write(path)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        assert is_new(path) or is_old(path) or (name == "folder" and not path.exists())
        remove_leftovers(path.parent)
        assert [part.name for part in path.parent.iterdir() if part.name != "target"] == []
        if code == 0:
            assert is_new(path)
            break
        assert code == -signal.SIGKILL
        died += 1
    assert died >= least


@pytest.mark.parametrize("name", WRITERS)
def test_an_error_in_the_block_leaves_what_was_there_and_nothing_else(name: str, tmp_path: Path) -> None:
    before, _, _ = WRITERS[name]
    before(tmp_path / "target")
    context = {"file": atomic_write, "path": atomic_path, "folder": atomic_folder}[name]
    with pytest.raises(KeyboardInterrupt), context(tmp_path / "target"):
        assert is_old(tmp_path / "target")
        raise KeyboardInterrupt
    assert is_old(tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@given(st.text(st.characters(codec="utf-8"), max_size=40), st.text("ab.-0 _=,é", min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_under_any_name(tmp_path_factory: Any, text: str, name: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = folder / "new" / f"x{name}"
    for _ in range(2):
        write_text(path, text)
    assert path.read_bytes() == text.encode()
    assert list(path.parent.iterdir()) == [path]
    with atomic_write(path) as file:
        (temporary,) = {*path.parent.iterdir()} - {path}
        assert is_temporary(temporary) and not is_temporary(path)
        file.write(b"more")


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    (tmp_path / "file").write_text("")
    for name in ("full", "file"):
        with (
            pytest.raises(FileExistsError, match=f"{name} is there already and not an empty folder; remove it"),
            atomic_folder(tmp_path / name),
        ):
            raise AssertionError("went on")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]


WRITER = """
import os, signal, sys, time
from pathlib import Path
from files import atomic_folder, atomic_write
folder = Path(sys.argv[1])
with atomic_write(folder / "target") as file, atomic_folder(folder / "tree") as tree:
    file.write(b"half")
    file.flush()
    (tree / "half").write_text("")
    print("writing", flush=True)
    sys.stdin.readline()
    file.write(b" and half")
"""


def writing(folder: Path) -> subprocess.Popen[str]:
    """Another process that is in the middle of writing a file and a folder, until it is told to go on."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", ALONE + WRITER, str(folder)], **pipes)  # type: ignore[call-overload]
    assert process.stdout.readline() == "writing\n"
    return process  # type: ignore[no-any-return]


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if is_temporary(path)]


def test_what_a_living_process_writes_stays_and_what_a_killed_one_wrote_goes(tmp_path: Path) -> None:
    process = writing(tmp_path)
    remove_leftovers(tmp_path)
    assert len(hidden(tmp_path)) == 2
    process.communicate("on\n", timeout=60)
    assert (tmp_path / "target").read_text() == "half and half" and (tmp_path / "tree" / "half").exists()
    process = writing(tmp_path / "next")
    process.kill()
    process.wait()
    assert len(hidden(tmp_path / "next")) == 2
    remove_leftovers(tmp_path / "next", "tree")
    assert len(hidden(tmp_path / "next")) == 1
    remove_leftovers(tmp_path / "next")
    assert not any((tmp_path / "next").iterdir())


def test_two_processes_that_write_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from files import remove_leftovers, write_text\n"
        "path = Path(sys.argv[1])\n"
        "for number in range(100): write_text(path, sys.argv[2] * 5000); remove_leftovers(path.parent)"
    )
    path = tmp_path / "target"
    others = [subprocess.Popen([sys.executable, "-c", ALONE + script, str(path), letter]) for letter in "ab"]
    seen = set()
    while any(process.poll() is None for process in others):
        if path.exists():
            seen.add(path.read_text())
    assert [process.returncode for process in others] == [0, 0]
    assert {*seen, path.read_text()} <= {"a" * 5000, "b" * 5000}
    assert [found.name for found in tmp_path.iterdir()] == ["target"]


def test_leftovers_of_other_machines_go_when_they_are_old_and_ours_at_once(tmp_path: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    here = files._HOST
    names = {
        "dead": f".a.{int(dead.stdout)}-{here}.tmp",
        "earlier process of our number": f".a.{os.getpid()}-{here}.tmp",
        "alive": f".a.{os.getppid()}-{here}.tmp",
        "elsewhere": f".a.{int(dead.stdout)}-{'0' * 8}.tmp",
        "foreign": ".a.tmp",
        "visible": "a.12-00000000.tmp",
    }
    for name in names.values():
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    left = {case for case, name in names.items() if (tmp_path / name).exists()}
    assert left == {"alive", "elsewhere", "foreign", "visible"}
    for name in (names[case] for case in left):
        os.utime(tmp_path / name, (time.time() - OLD - 9,) * 2)
    remove_leftovers(tmp_path)
    assert {case for case, name in names.items() if (tmp_path / name).exists()} == {"foreign", "visible"}


LOCKER = """
import os, sys, time
from pathlib import Path
from files import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.acquire()
ready, told = os.pipe()
child = os.fork() if sys.argv[2] == "forks" else None
if child != 0:
    if child:
        os.read(ready, 1)  # it has dropped the lock
    print(child or "", flush=True)
    sys.stdin.readline()
    lock.release()
else:
    os.write(told, b".")
    os.close(0), os.close(1)
    time.sleep(60)
"""


def locking(folder: Path, how: str = "") -> tuple[subprocess.Popen[str], str]:
    """Another process that has a folder, until it is told to go on; and its child, if it forks."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", ALONE + LOCKER, str(folder), how], **pipes)  # type: ignore[call-overload]
    return process, process.stdout.readline().strip()


def test_a_folder_has_one_process_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "run"
    process, _ = locking(folder)
    lock = FolderLock(folder)
    with pytest.raises(FolderInUse, match=rf"^process {process.pid} on .*, since 20.* \(its lock is .*\.lock\)$"):
        lock.acquire()
    assert f"process {process.pid} on " in str(user_of(folder))
    lock.release()  # of a lock that was refused: nothing
    assert user_of(folder) is not None
    process.communicate("on\n", timeout=60)
    assert process.returncode == 0
    assert not (tmp_path / "a").exists()  # it had made both, and they are empty
    assert user_of(folder) is None
    lock.acquire()
    with pytest.raises(FolderInUse, match=f"process {os.getpid()} on "):
        FolderLock(folder).acquire()
    (folder / "something").write_text("")
    lock.release()
    assert [path.name for path in folder.iterdir()] == ["something"]


@pytest.mark.parametrize("how", ["", "forks"])
def test_the_lock_of_a_killed_process_ends_with_it(how: str, tmp_path: Path) -> None:
    """Even if a process that it has forked lives on, as loader workers do for a while."""
    process, child = locking(tmp_path, how)
    process.kill()
    process.wait()
    try:
        assert (tmp_path / LOCK).exists() and user_of(tmp_path) is None
        lock = FolderLock(tmp_path)
        lock.acquire()
        assert f"process {os.getpid()} on " in str(user_of(tmp_path))
        lock.release()
    finally:
        if child:
            os.kill(int(child), signal.SIGKILL)
    assert not (tmp_path / LOCK).exists()


def test_a_lock_goes_with_its_folder(tmp_path: Path) -> None:
    lock, next_lock = FolderLock(tmp_path / "run"), FolderLock(tmp_path / "run")
    lock.acquire()
    (tmp_path / "run").rename(tmp_path / "aside")
    lock.move(tmp_path / "aside")
    next_lock.acquire()
    assert user_of(tmp_path / "run") and user_of(tmp_path / "aside")
    lock.release()
    assert user_of(tmp_path / "run") and user_of(tmp_path / "aside") is None
    assert (tmp_path / "aside").exists() and not any((tmp_path / "aside").iterdir())
    next_lock.release()
    assert not (tmp_path / "run").exists()


def no_fcntl(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(files, "fcntl", None)


def no_lock_server(patch: pytest.MonkeyPatch) -> None:
    def flock(file: Any, kind: int) -> None:
        raise OSError(37, "No locks available")

    patch.setattr(files.fcntl, "flock", flock)


@pytest.mark.parametrize("missing", [no_fcntl, no_lock_server])
def test_without_the_kernel_s_locks_the_file_that_names_a_living_process_is_one(
    missing: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing(monkeypatch)
    lock, other = FolderLock(tmp_path), FolderLock(tmp_path)
    lock.acquire()
    assert f"process {os.getpid()} on " in str(user_of(tmp_path))
    with pytest.raises(FolderInUse, match=f"process {os.getpid()} on "):
        other.acquire()
    lock.release()
    assert user_of(tmp_path) is None and not (tmp_path / LOCK).exists()
    process, _ = locking(tmp_path)
    with pytest.raises(FolderInUse, match=f"process {process.pid} on "):
        other.acquire()
    process.kill()
    process.wait()
    assert user_of(tmp_path) is None
    other.acquire()
    assert f"process {os.getpid()} on " in str(user_of(tmp_path))
    other.release()


def test_many_that_want_a_folder_get_it_in_turn(tmp_path: Path) -> None:
    """A counter in the folder, read and written again, loses no count."""
    script = (
        "import sys, time; from pathlib import Path; from files import FolderInUse, FolderLock\n"
        "folder = Path(sys.argv[1]); counter = folder.parent / 'count'\n"
        "for _ in range(25):\n"
        "    lock = FolderLock(folder)\n"
        "    while True:\n"
        "        try: lock.acquire(); break\n"
        "        except FolderInUse: pass\n"
        "    count = int(counter.read_text()); time.sleep(0.001); counter.write_text(str(count + 1)); lock.release()\n"
    )
    (tmp_path / "count").write_text("0")
    others = [subprocess.Popen([sys.executable, "-c", ALONE + script, str(tmp_path / "run")]) for _ in range(3)]
    assert [process.wait(60) for process in others] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "75"


def test_who_waits_for_a_folder_has_it_when_it_is_given_back(tmp_path: Path) -> None:
    lock, order = FolderLock(tmp_path / "folder"), []
    lock.acquire()

    def wait() -> None:
        with files.waited_for(tmp_path / "folder", pause=0.01):
            order.append("has it")

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    order.append("given back")
    lock.release()
    thread.join(timeout=10)
    assert order == ["given back", "has it"]
    assert not (tmp_path / "folder").exists()
