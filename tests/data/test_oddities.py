"""An orientation and further frames are passed over, and told once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from damaged import FILES, PIXELS, RGB, encoded
from PIL import Image

from promptreid.data import images, oddities
from promptreid.data.images import oddities_in, read_image, warn_of_oddities

FRAMED = [name for name in FILES if name.startswith(("animated", "mpo", "tiff of"))]


@pytest.fixture(autouse=True)
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oddities, "_told", set())


def written(folder: Path, name: str, content: bytes | None = None) -> str:
    path = folder / f"{name.replace(' ', '-')}.img"
    path.write_bytes(FILES[name] if content is None else content)
    return str(path)


@pytest.mark.parametrize("name", ["png", "jpeg"])
def test_an_orientation_is_passed_over_and_told_once(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The pixels are those of the file without it, which torchreid's ``Image.open(path).convert("RGB")`` gives."""
    path = written(tmp_path, name)
    for _ in range(2):
        assert np.array_equal(read_image(path), np.asarray(Image.open(path).convert("RGB")))
    (record,) = caplog.records
    assert (
        f"{path}: the file asks to be shown turned or mirrored (EXIF orientation 6), and is read as it is stored"
        in (record.getMessage())
    )


@pytest.mark.parametrize("name", FRAMED)
def test_the_first_of_several_frames_is_read_and_told_once(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, name)
    for _ in range(2):
        close = np.abs(np.asarray(read_image(path)).astype(int) - PIXELS)
        assert close.mean() < 20  # some are lossy; mirrored it is 60 and more
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: the file holds several frames, of which the first is read"
    ]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_plain_files_and_broken_exif_say_nothing(tmp_path: Path) -> None:
    upright = Image.Exif()
    upright[0x0112] = 1
    for content in (
        FILES["bmp"],
        FILES["tiff"],
        encoded(RGB, "JPEG", exif=upright),
        encoded(RGB, "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff"),
        encoded(RGB, "JPEG", exif=b"Exif\0\0no TIFF"),
    ):
        assert oddities_in(written(tmp_path, "x", content)) == {}


def test_workers_leave_it_to_their_parent_which_looks_at_a_few_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned, framed = written(tmp_path, "jpeg"), written(tmp_path, "animated png")
    with monkeypatch.context() as worker:
        worker.setattr(oddities, "get_worker_info", lambda: "worker 1")
        read_image(turned)
    assert not caplog.records
    warn_of_oddities([written(tmp_path, "x", b"broken"), str(tmp_path / "none"), turned, framed, turned])
    assert len(caplog.records) == 2


def test_the_header_tells_the_size(tmp_path: Path) -> None:
    for name in FILES:
        assert images.image_size(written(tmp_path, name)) == (30, 20)
