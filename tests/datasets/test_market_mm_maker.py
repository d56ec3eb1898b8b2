"""Market1501-MM from a small Market-1501: pixels, names, thermal images, and nothing half-made."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from fake_triples import patches, touch
from PIL import Image

from promptreid.datasets import market_mm_maker
from promptreid.datasets.market_mm import MarketMM
from promptreid.datasets.market_mm_maker import darken, make_market_mm

NAMES = {
    "bounding_box_train": ["0002_c1s1_000451_03", "0002_c2s1_000776_01", "0007_c3s1_000000_01"],
    "query": ["0001_c1s1_001051_00", "0003_c2s1_000551_00"],
    "bounding_box_test": ["-1_c1s1_000000_02", "0000_c1s1_000000_01", "0001_c2s1_000000_01", "0003_c3s1_000000_01"],
}
SPLITS = {"bounding_box_train": "train", "query": "query", "bounding_box_test": "gallery"}
USED = [name for names in NAMES.values() for name in names if not name.startswith("-1")]


NUM_TRAIN = len(NAMES["bounding_box_train"])


@pytest.fixture
def market(tmp_path: Path) -> Path:
    draw = patches((128, 64))
    for split, names in NAMES.items():
        (tmp_path / "market1501" / split).mkdir(parents=True)
        for seed, name in enumerate(names):
            draw(tmp_path / "market1501" / split / f"{name}.jpg", seed)
    return tmp_path


@pytest.fixture
def warm(tmp_path: Path) -> Path:
    """A thermal image for each name, in folders of their own and in two formats."""
    draw = patches((128, 64))
    for number, name in enumerate(USED):
        path = tmp_path / "warm" / f"part{number % 2}" / f"{name}.{'png' if number % 3 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(path, 50 + number)
    return tmp_path / "warm"


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}


def test_darken_is_forty_per_cent_of_each_value() -> None:
    pixels = np.arange(256 * 3, dtype=np.int64).reshape(16, 16, 3) % 256
    found = np.asarray(darken(Image.fromarray(pixels.astype(np.uint8))))
    assert np.array_equal(found, (2 * pixels * 2 + 5) // 10)  # 0.4 v, rounded


@pytest.mark.parametrize("workers", [1, 3])
def test_names_and_pixels(market: Path, workers: int) -> None:
    out = market / "Market1501-MM"
    made = make_market_mm(market, out, workers=workers)
    assert made.samples == {"train": 3, "query": 2, "gallery": 3}
    assert made.lacking == USED
    assert tree(out) == {
        f"{SPLITS[split]}/{side}/{name}.jpg"
        for split, names in NAMES.items() for name in names for side in ("RGB", "NI") if name in USED
    }  # fmt: skip
    assert not any(out.glob("*/TI"))
    for split, names in NAMES.items():
        for name in set(names) & set(USED):
            original = Image.open(market / "market1501" / split / f"{name}.jpg")
            dark, grey = (Image.open(out / SPLITS[split] / side / f"{name}.jpg") for side in ("RGB", "NI"))
            assert grey.mode == "L"
            # JPEG bleeds at the edges of the patches, so most pixels, not all.
            assert (abs(np.asarray(dark) - 0.4 * np.asarray(original)) <= 3).mean() > 0.8
            assert (abs(np.asarray(grey).astype(int) - np.asarray(original.convert("L"))) <= 3).mean() > 0.8


def test_without_thermal_images_it_is_read_with_keep(market: Path) -> None:
    make_market_mm(market, market / "Market1501-MM")
    data = MarketMM(root=str(market), incomplete="keep", verbose=False)
    assert (len(data.train), len(data.query), len(data.gallery)) == (3, 2, 3)
    assert all(r[0].paths["thermal_infrared"] is None for r in data.train + data.query + data.gallery)
    with pytest.raises(ValueError, match=r"3 without thermal_infrared\); .*set data\.incomplete to keep"):
        MarketMM(root=str(market), verbose=False)


def test_with_thermal_images_it_is_complete(market: Path, warm: Path) -> None:
    touch(warm, ["unrelated.jpg", "notes.txt"])
    out = market / "Market1501-MM"
    made = make_market_mm(market / "market1501", out, warm)
    assert made.lacking == []
    data = MarketMM(root=str(market), verbose=False)
    assert (len(data.train), len(data.query), len(data.gallery)) == (3, 2, 3)
    for path in warm.glob("part*/*"):
        (copy,) = out.glob(f"*/TI/{path.stem}.*")
        assert copy.read_bytes() == path.read_bytes()


def test_missing_thermal_images_are_counted(market: Path, warm: Path) -> None:
    for name in (USED[0], USED[5]):
        next(warm.glob(f"*/{name}.*")).unlink()
    made = make_market_mm(market, market / "Market1501-MM", warm)
    assert made.lacking == [USED[0], USED[5]]
    assert len(MarketMM(root=str(market), verbose=False).train) == 2


def _no_market(market: Path, warm: Path) -> None:
    shutil.rmtree(market / "market1501" / "query")


def _broken_image(market: Path, warm: Path) -> None:
    path = market / "market1501" / "bounding_box_test" / f"{USED[-1]}.jpg"
    path.write_bytes(path.read_bytes()[:-400])


def _broken_thermal(market: Path, warm: Path) -> None:
    next(warm.glob(f"*/{USED[-1]}.*")).write_bytes(b"<html>")


def _odd_name(market: Path, warm: Path) -> None:
    folder = market / "market1501" / "query"
    (folder / f"{USED[3]}.jpg").rename(folder / "first.jpg")


def _twice(market: Path, warm: Path) -> None:
    shutil.copy(next(warm.glob(f"*/{USED[0]}.*")), warm / f"{USED[0]}.jpg")


def _no_thermal(market: Path, warm: Path) -> None:
    shutil.rmtree(warm)


def _other_thermal(market: Path, warm: Path) -> None:
    for path in warm.glob("*/*"):
        path.rename(path.with_name(f"t{path.name}"))


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (_no_market, FileNotFoundError, r"Market-1501 not found at"),
        (_broken_image, ValueError, r"0003_c3s1_000000_01\.jpg: cannot be decoded"),
        (_broken_thermal, ValueError, r"0003_c3s1_000000_01\.\w+: not an image"),
        (_odd_name, ValueError, r"query/first\.jpg: the name is not of the form 0002_c1s1_000451_03\.jpg"),
        (_twice, ValueError, r"0002_c1s1_000451_03\.\w+ and .*0002_c1s1_000451_03\.\w+ have one name"),
        (_no_thermal, FileNotFoundError, r"warm: no such folder of thermal images"),
        (_other_thermal, ValueError, r"warm: no image has a name of Market-1501, such as 0002_c1s1_000451_03\.jpg"),
    ],
)
def test_nothing_half_made_is_left(market: Path, warm: Path, spoil, error: type[Exception], message: str) -> None:
    spoil(market, warm)
    before = tree(market)
    with pytest.raises(error, match=message):
        make_market_mm(market, market / "out" / "Market1501-MM", warm, workers=2)
    assert tree(market) == before
    assert not list((market / "out").glob("*")) if (market / "out").exists() else True


def test_an_interruption_leaves_nothing_and_ends_soon(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(samples: list) -> list:
        raise KeyboardInterrupt

    written = []
    monkeypatch.setattr(market_mm_maker, "_write", lambda *args: (time.sleep(0.2), written.append(args)))
    with pytest.raises(KeyboardInterrupt):
        make_market_mm(market, market / "new", watch=interrupted)
    assert sorted(path.name for path in market.iterdir()) == ["market1501"]
    assert len(written) < NUM_TRAIN


def test_an_existing_folder_is_left_alone(market: Path) -> None:
    touch(market / "new", ["mine.txt"])
    with pytest.raises(FileExistsError, match="new is there already and not an empty folder; remove it"):
        make_market_mm(market, market / "new")
    assert tree(market / "new") == {"mine.txt"}


def test_the_folder_appears_only_when_it_is_complete(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, seen = market / "new", []
    write = market_mm_maker._write
    monkeypatch.setattr(market_mm_maker, "_write", lambda *args: (seen.append(out.exists()), write(*args)))
    make_market_mm(market, out)
    assert seen == [False] * len(USED)
    assert sorted(path.name for path in market.iterdir()) == ["market1501", "new"]
