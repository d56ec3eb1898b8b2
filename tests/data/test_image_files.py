"""Reading ends, whatever a path leads to: after a few attempts, with the path and the number of the error."""

from __future__ import annotations

import errno
import io
import os
import time
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from promptreid.data import image_files
from promptreid.data.image_files import ATTEMPTS, TRANSIENT, ImageError, read_bytes, with_file


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "a.jpg").write_bytes(b"content")
    return str(tmp_path / "a.jpg")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(image_files.time, "sleep", found.append)
    return found


def failing(times: int, number: int) -> Any:
    """``os.open`` that fails this often."""
    calls, opened = iter(range(times)), os.open

    def call(*arguments: Any) -> int:
        if next(calls, None) is not None:
            raise OSError(number, os.strerror(number))
        return opened(*arguments)

    return call


def test_the_content(file: str) -> None:
    assert read_bytes(file) == b"content"
    assert with_file(file, lambda opened: opened.read(3)) == b"con"


@pytest.mark.parametrize("number", sorted(TRANSIENT))
def test_what_passes_is_tried_again(
    number: int, file: str, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files.os, "open", failing(ATTEMPTS - 1, number))
    assert read_bytes(file) == b"content"
    assert len(pauses) == ATTEMPTS - 1 and sum(pauses) < 1
    monkeypatch.setattr(image_files.os, "open", failing(ATTEMPTS, number))
    with pytest.raises(ImageError, match=rf"a\.jpg: cannot be read \(.+, errno {number}, {ATTEMPTS} times\); check"):
        read_bytes(file)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ELOOP, errno.ENXIO, errno.EMFILE, errno.ENAMETOOLONG])
def test_what_does_not_pass_is_not(
    number: int, file: str, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files.os, "open", failing(1, number))
    with pytest.raises(ImageError, match=rf"a\.jpg: cannot be read \(.+, errno {number}\); check the permissions"):
        read_bytes(file)
    assert pauses == []


def test_an_error_in_the_middle_of_a_file_is_one_of_the_disk(file: str, pauses: list[float]) -> None:
    calls = []

    def action(opened: BinaryIO) -> bytes:
        calls.append(opened.read(3))
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(ImageError, match=r"a\.jpg: cannot be read \(Input/output error, errno 5, 3 times\)"):
        with_file(file, action)
    assert calls == [b"con"] * ATTEMPTS


def test_a_file_that_has_vanished(file: str, pauses: list[float]) -> None:
    Path(file).unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.jpg: no such image file; is the data set complete\?"):
        read_bytes(file)
    assert pauses == []


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match=rf"a\.jpg: cannot be read \(.+, errno {errno.ELOOP}\)"):
        read_bytes(str(tmp_path / "a.jpg"))


def test_a_pipe_a_device_and_a_folder_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    started = time.monotonic()
    for name in ("pipe.jpg", "folder.jpg", "zero.jpg"):
        with pytest.raises(ImageError, match=rf"{name}: not a regular file but a folder, a pipe or a device"):
            read_bytes(str(tmp_path / name))
    assert time.monotonic() - started < 5


def test_an_empty_file_and_a_huge_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match=r"empty\.jpg: the file is empty; replace"):
        read_bytes(str(tmp_path / "empty.jpg"))
    with open(tmp_path / "huge.jpg", "wb") as file:
        file.truncate(image_files.MAX_BYTES + 1)  # no byte of it is on the disk
    with pytest.raises(ImageError, match=r"huge\.jpg: 300000001 bytes; the limit for an image file is 300000000"):
        read_bytes(str(tmp_path / "huge.jpg"))


def test_a_path_that_none_can_be() -> None:
    with pytest.raises(ImageError, match="no path can have a null character"):
        read_bytes("a\0.jpg")


def test_errors_of_decoders_pass(file: str) -> None:
    def action(opened: BinaryIO) -> None:
        raise io.UnsupportedOperation("of a decoder")

    with pytest.raises(io.UnsupportedOperation):
        with_file(file, action)
