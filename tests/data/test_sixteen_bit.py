"""Raw thermal images keep their contrast, in every reader, and nobody gets seven grey levels unawares."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from triple_sets import NAMES, Triples, register, write_triples

from promptreid.data import sixteen_bit
from promptreid.data.images import read_image, warn_of_narrow_ranges
from promptreid.data.manager import ModalDataManager
from promptreid.data.packing import Pack, files_of, write_pack
from promptreid.data.sixteen_bit import FULL, Range16

MINMAX = Range16("minmax")
FIXED = Range16("fixed", (7000, 9000))
LEVELS = arrays(np.uint16, (3, 4), elements=st.integers(0, 65535))


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sixteen_bit, "_warned", False)


def body(seed: int = 0, low: int = 7100, high: int = 8800) -> np.ndarray:
    """A 14-bit image of a warm body."""
    return np.random.default_rng(seed).integers(low, high + 1, (16, 8)).astype(np.uint16)


def saved(path: Path, levels: np.ndarray) -> str:
    Image.fromarray(levels).save(path)
    return str(path)


@settings(max_examples=60, deadline=None)
@given(values=LEVELS, limits=st.tuples(st.integers(0, 65535), st.integers(0, 65535)).filter(lambda p: p[0] < p[1]))
def test_scaling_is_rounding(values: np.ndarray, limits: tuple[int, int]) -> None:
    """Against the slow way, level by level."""
    for kind in (FULL, Range16("fixed", limits), MINMAX):
        low, high = {"full": (0, 65535), "fixed": limits}.get(kind.name, (int(values.min()), int(values.max())))
        for level, grey in zip(values.flat, kind.scaled(values).flat, strict=True):
            cut = min(max(int(level), low), high) - low
            assert abs(int(grey) - 255 * cut / max(high - low, 1)) <= 0.5


def test_a_raw_thermal_image_keeps_its_contrast(tmp_path: Path) -> None:
    path = saved(tmp_path / "raw.png", body())
    greys = {kind: np.asarray(read_image(path, range_16bit=kind)) for kind in (FULL, MINMAX, FIXED)}
    assert len(np.unique(greys[FULL])) < 10
    assert len(np.unique(greys[MINMAX])) > 80
    assert (greys[MINMAX].min(), greys[MINMAX].max()) == (0, 255)
    assert (greys[FIXED] == FIXED.scaled(body())[..., None]).all()
    assert 0 < greys[FIXED].min() < greys[FIXED].max() < 255
    assert (np.asarray(read_image(path)) == greys[FULL]).all()


def test_eight_bit_images_are_left_alone(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(90, 110, (8, 6, 3), dtype=np.uint8)
    path = saved(tmp_path / "a.png", pixels)
    assert all((np.asarray(read_image(path, range_16bit=kind)) == pixels).all() for kind in (FULL, MINMAX, FIXED))


@pytest.mark.parametrize(
    ("name", "limits", "message"),
    [
        ("narrow", (), "data.range_16bit: unknown name 'narrow'"),
        ("minmax", (1, 2), r"data.limits_16bit \[1, 2\] has no use with data.range_16bit minmax"),
        ("fixed", (), r"data.limits_16bit \[\]: data.range_16bit fixed needs"),
        ("fixed", (9, 9), "fixed needs the lowest and the highest level"),
        ("fixed", (0, 65536), "within 0 and 65535"),
    ],
)
def test_contradictions(name: str, limits: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Range16(name, limits)


def test_one_warning_of_a_narrow_image(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw, wide = saved(tmp_path / "raw.png", body()), saved(tmp_path / "wide.png", body(high=20000))
    for kind in (MINMAX, FIXED):
        read_image(raw, range_16bit=kind)
    read_image(wide)
    assert not caplog.messages
    read_image(raw)
    read_image(saved(tmp_path / "second.png", body(2)))
    assert len(caplog.messages) == 1
    assert "raw.png: a 16-bit image of the levels 71" in caplog.text
    assert " makes 7 grey levels: set it to minmax, or to fixed with data.limits_16bit" in caplog.text


def test_what_cannot_be_read_is_left_to_its_reader(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "text.png").write_text("no image")
    raw = saved(tmp_path / "raw.png", body())
    warn_of_narrow_ranges([str(tmp_path / "text.png"), str(tmp_path / "none.png"), raw])
    assert len(caplog.messages) == 1


@pytest.fixture
def thermal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Triples whose thermal images are raw."""
    root = write_triples(tmp_path / "triples")
    for seed, path in enumerate(sorted((root / NAMES[2]).iterdir())):
        saved(path, body(seed))
    register(monkeypatch, triples=Triples)
    yield root


def manager(root: Path, **kwargs: object) -> ModalDataManager:
    names = {"sources": "triples", "targets": "triples"}
    sizes = {"height": 16, "width": 8, "batch_size_train": 6, "batch_size_test": 6, "transforms": []}
    return ModalDataManager(root=str(root), use_gpu=False, **{"workers": 0, **names, **sizes, **kwargs})


def thermal_images(data: ModalDataManager) -> list[np.ndarray]:
    """Of all loaders, as grey levels."""
    mean, std = (np.array(data.transform_te.transforms[-1].__dict__[name])[:, None, None] for name in ("mean", "std"))
    loaders = [data.train_loader, *data.test_loader["triples"].values()]
    return [batch["img"]["images"][:, 2].numpy() * std + mean for loader in loaders for batch in loader]


@pytest.mark.parametrize("packed", [False, True])
def test_it_reaches_training_and_testing_and_packs(thermal: Path, tmp_path: Path, packed: bool) -> None:
    settings: dict[str, object] = {"range_16bit": "fixed", "limits_16bit": [7000, 9000]}
    files = files_of([*Triples(root=str(thermal), verbose=False).train])
    if packed:
        write_pack(tmp_path / "pack.npy", thermal, files, 16, 8, "bilinear", range_16bit=FIXED)
        settings["pack"] = str(tmp_path / "pack.npy")
    images = thermal_images(manager(thermal, **settings))
    assert len(images) == 15
    assert all(image.max() - image.min() > 0.7 for image in images)
    assert all(np.ptp(image) < 0.1 for image in thermal_images(manager(thermal)))


def test_a_pack_made_otherwise_is_refused(thermal: Path, tmp_path: Path) -> None:
    files = files_of(Triples(root=str(thermal), verbose=False).train)
    for made in (FULL, FIXED):
        write_pack(tmp_path / "pack.npy", thermal, files, 16, 8, "bilinear", range_16bit=made)
        Pack(tmp_path / "pack.npy", thermal).check(files, 16, 8, "bilinear", made)
        for asked in (FULL, MINMAX, Range16("fixed", (7000, 9001))):
            if asked != made:
                with pytest.raises(ValueError, match=r"was made with data\.range_16bit .* but the run asks for"):
                    Pack(tmp_path / "pack.npy", thermal).check(files, 16, 8, "bilinear", asked)
    with pytest.raises(
        ValueError, match=r"made with data\.range_16bit fixed \[7000, 9000\], but the run asks for full"
    ):
        manager(thermal, pack=str(tmp_path / "pack.npy"))


def test_a_run_tells_before_its_workers_do(thermal: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        data = manager(thermal, workers=2)
        assert len([text for text in caplog.messages if "16-bit image of the levels" in text]) == 1
        list(data.train_loader)
        manager(thermal, range_16bit="minmax")
    assert len([text for text in caplog.messages if "16-bit image of the levels" in text]) == 1
