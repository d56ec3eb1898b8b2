"""Which samples go into the projector, and their thumbnails."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from promptreid.data.batch import PathBundle
from promptreid.engine.views.projector import SPRITE_SIDE, choose_rows, objects_of, sprite_of, thumbnail_of
from promptreid.evaluation.features import FeatureSet

BANDS = ("visible", "near_infrared", "thermal_infrared")


@given(st.lists(st.integers(0, 40), min_size=1, max_size=200), st.integers(1, 120))
def test_rows_rise_and_no_more_than_asked_for(pids: list[int], most: int) -> None:
    rows = choose_rows(np.array(pids), most)
    assert 1 <= len(rows) <= most and (np.diff(rows) > 0).all()
    assert len(pids) > most or len(rows) == len(pids)


def test_whole_identities_are_kept_rather_than_one_image_of_each() -> None:
    pids = np.repeat(np.arange(500), 20)
    rows = choose_rows(pids, 100)
    assert len(rows) == 100
    assert [len(set(pids[rows])), min(pids[rows]), max(pids[rows])] == [5, 0, 499]


def record(folder: Path, number: int, pid: int, missing: bool = False) -> tuple[PathBundle, int, int]:
    paths: dict[str, str | None] = {}
    for band, name in enumerate(BANDS):
        file = folder / name / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 16), (10 * number, 100, 60 * band)).save(file)
        paths[name] = None if missing and band == 2 else str(file)
    return PathBundle(paths, number % 2), pid, 7


def test_rows_labels_and_thumbnails_belong_together_and_no_sample_is_there_twice(tmp_path: Path) -> None:
    gallery = [record(tmp_path, number, number // 2, number == 3) for number in range(6)]
    datasets = {"query": SimpleNamespace(data=gallery[:2]), "gallery": SimpleNamespace(data=gallery)}
    features = torch.arange(12.0).reshape(6, 2)
    sides = [
        FeatureSet(values, [r[1] for r in data.data], [7] * len(values), names=np.array([f"{split} {n}" for n in rows]))
        for (split, data), values, rows in zip(
            datasets.items(), (features[:2], features), (range(2), range(6)), strict=True
        )
    ]
    found = objects_of(sides, datasets, 1000, 32)
    assert np.array_equal(found.features, features.numpy())  # the two queries once, though they are in the gallery
    assert [row[:4] for row in found.rows[:3]] == [
        ("0", "0", "RGB+NIR+TIR", "query"), ("0", "1", "RGB+NIR+TIR", "query"), ("1", "0", "RGB+NIR+TIR", "gallery"),
    ]  # fmt: skip
    assert found.rows[3][2] == "RGB+NIR" and found.rows[0][4] == "visible/0.png"
    assert found.sprite.size == (96, 64) and found.thumbnail == 32
    for number in range(6):
        box = (number % 3 * 32, number // 3 * 32, number % 3 * 32 + 32, number // 3 * 32 + 32)
        reds = {pixel[0] for pixel in np.asarray(found.sprite.crop(box)).reshape(-1, 3).tolist()} - {255}
        assert reds == {10 * number}


def test_bands_stand_side_by_side_in_their_proportions(tmp_path: Path) -> None:
    from promptreid.data.images import read_images

    path, *_ = record(tmp_path, 5, 0)
    pixels = np.asarray(thumbnail_of(path, 60, read_images))
    assert pixels.shape == (60, 60, 3)
    assert [tuple(pixels[30, x]) for x in (10, 30, 50)] == [(50, 100, 60 * band) for band in range(3)]
    assert tuple(pixels[0, 10]) == (255, 255, 255)  # 20 x 40, in the middle


def test_a_sprite_is_no_larger_than_browsers_draw(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sprite = sprite_of([Image.new("RGB", (4, 4), (n, 0, 0)) for n in range(5)], 4)
    assert sprite.size == (12, 8) and sprite.getpixel((0, 4)) == (3, 0, 0)
    assert SPRITE_SIDE == 8192
    monkeypatch.setattr("promptreid.engine.views.projector.SPRITE_SIDE", 40)
    gallery = [record(tmp_path, number, number) for number in range(4)]
    side = FeatureSet(torch.zeros(4, 2), list(range(4)), [0] * 4, names=np.array([f"gallery {n}" for n in range(4)]))
    found = objects_of([side], {"gallery": SimpleNamespace(data=gallery)}, 10, 64)
    assert found.thumbnail == 20 and found.sprite.size == (40, 40)
