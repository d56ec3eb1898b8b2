"""A data set of which a part is missing is refused, or its results say so."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_trees import write_sysu, write_whole_llcm
from fake_triples import SMALL, patches, write_small, write_whole_msvr310, write_whole_rgbnt201, write_whole_wmveid863
from PIL import Image
from small_sets import WRITERS
from torch import nn

from promptreid import synthetic
from promptreid.data.manager import ModalDataManager
from promptreid.datasets.completeness import Part, check_complete
from promptreid.datasets.counts import COUNTS
from promptreid.datasets.published import PUBLISHED
from promptreid.datasets.registry import DATASETS
from promptreid.datasets.sysu_mm01 import SYSUMM01
from promptreid.engine.train_engine import PromptEngine


def load(name: str, root: Path, **kwargs: Any) -> Any:
    return DATASETS[name](root=str(root), verbose=False, **kwargs)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for text in caplog.messages if "is not as published" in text]


@pytest.fixture(scope="module")
def whole_sysu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of SYSU-MM01; read only."""
    return write_sysu(tmp_path_factory.mktemp("whole") / "SYSU-MM01")


def linked(whole: Path, folder: Path) -> Path:
    """A copy whose files are links, to take some away."""
    shutil.copytree(whole, folder, copy_function=lambda a, b: Path(b).hardlink_to(a))
    return folder


def test_a_whole_set_has_no_note(whole_sysu: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("sysu_mm01", "sysu_mm01_indoor"):
        assert load(name, whole_sysu).incomplete_note == ""
    assert not warnings(caplog)


def test_sysu_without_a_camera(whole_sysu: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = linked(whole_sysu, tmp_path / "SYSU-MM01")
    shutil.rmtree(folder / "cam4")
    assert load("sysu_mm01", folder).incomplete_note == "4857 of 6775 gallery images"
    (text,) = warnings(caplog)
    assert "no folder cam4; 28356 of 34167 train images, 4857 of 6775 gallery images" in text
    load("sysu_mm01", folder, mode="query"), load("sysu_mm01", folder, mode="gallery")
    assert len(warnings(caplog)) == 1
    assert load("sysu_mm01_indoor", folder).incomplete_note == ""


def test_sysu_without_test_identities(whole_sysu: Path, tmp_path: Path) -> None:
    folder = linked(whole_sysu, tmp_path / "SYSU-MM01")
    for pid in (6, 10, 17):
        for cell in folder.glob(f"cam*/{pid:04d}"):
            shutil.rmtree(cell)
    with pytest.raises(
        ValueError, match=r"no image of identity 6 and of 2 others, which exp/test_id\.txt names: looked"
    ):
        load("sysu_mm01", folder)
    (folder / "exp" / "test_id.txt").write_text("21,24")
    assert load("sysu_mm01", folder).incomplete_note == "60 of 3803 queries, 81 of 6775 gallery images"


@pytest.mark.slow
def test_whole_sets_of_the_other_kinds(whole_regdb: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_whole_rgbnt201(tmp_path / "RGBNT201")
    write_whole_msvr310(tmp_path / "MSVR310")
    write_whole_wmveid863(tmp_path / "WMVEID863")
    write_whole_llcm(tmp_path / "LLCM")
    assert load("regdb", whole_regdb, split_id=6).incomplete_note == ""
    for name in ("rgbnt201", "rgbnt201_dev", "msvr310", "wmveid863", "llcm_v2i"):
        assert load(name, tmp_path).incomplete_note == ""
    assert load("wmveid863", tmp_path, incomplete="keep").incomplete_note == ""
    assert not warnings(caplog)
    for path in (tmp_path / "RGBNT201" / "train_171" / "RGB").glob("000001_cam1*"):
        path.unlink()
    assert load("rgbnt201", tmp_path).incomplete_note == ""
    assert load("rgbnt201_dev", tmp_path).incomplete_note == "3941 of 3951 samples of train_171"
    assert len(warnings(caplog)) == 2


def test_llcm_ships_one_camera_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_whole_llcm(tmp_path / "LLCM")
    (tmp_path / "LLCM" / "test_nir" / "cam3").mkdir()
    shutil.rmtree(tmp_path / "LLCM" / "test_vis" / "cam9")
    data = load("llcm", tmp_path)
    gone = sum(path.camera == 8 for path, *_ in data.gallery)
    assert gone == 0
    assert data.incomplete_note == f"{len(data.gallery)} of 8680 gallery images"
    (text,) = warnings(caplog)
    assert "no folder test_vis/cam9; " in text


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("sysu_mm01", "2 of 3803 queries, 4 of 6775 gallery images"),
        ("sysu_mm01_indoor", "2 of 3803 queries, 2 of 2939 gallery images"),
        ("regdb", "4 of 2060 queries, 4 of 2060 gallery images"),
        ("llcm", "4 of 7166 queries, 4 of 8680 gallery images"),
        ("llcm_v2i", "4 of 8680 queries, 4 of 7166 gallery images"),
        ("rgbnt201", "60 of 836 test samples"),
        ("rgbnt201_dev", "20 of 3951 samples of train_171"),
        ("rgbnt100", "15 of 1715 queries, 60 of 8575 gallery samples"),
        ("rgbn300", "68 of 50125 samples in train and gallery"),
        ("msvr310", "60 of 591 queries, 66 of 1055 gallery samples"),
        ("wmveid863", "60 of 1228 distinct test samples"),
        ("market_mm", "15 of 3368 queries, 64 of 15913 gallery samples"),
    ],
)
def test_every_data_set_has_its_note_unless_it_was_rendered(
    tmp_path: Path, name: str, note: str, caplog: pytest.LogCaptureFixture
) -> None:
    family = max((family for family in WRITERS if name.startswith(family)), key=len)
    folder = WRITERS[family](tmp_path)
    assert load(name, tmp_path).incomplete_note == note
    assert len(warnings(caplog)) == 1
    (folder / "synthetic.json").write_text("{}")
    assert load(name, tmp_path).incomplete_note == ""
    assert len(warnings(caplog)) == 1


def test_a_data_set_that_is_only_tested_on_is_told_of_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    WRITERS["regdb"](tmp_path)
    load("regdb", tmp_path, mode="gallery")
    assert not warnings(caplog)
    load("regdb", tmp_path, mode="query")
    assert len(warnings(caplog)) == 1


def test_every_published_count_is_measured() -> None:
    assert set(COUNTS) == set(PUBLISHED) == set(WRITERS)


def test_rendered_twins_are_not_measured(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for like in ("regdb", "rgbnt100"):
        synthetic.write_tree(like, tmp_path / synthetic.FOLDERS[like], ids=8, seed=0)
        assert load(like, tmp_path).incomplete_note == ""
    assert not warnings(caplog)


def test_more_than_published_is_told_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert check_complete("X", tmp_path, [], [Part("queries", 9, 8), Part("others", 4, 4)]) == "9 of 8 queries"
        assert check_complete("X", tmp_path, [Part("train images", 1, 2)], []) == ""
        assert check_complete("X", tmp_path, [], [], ["cam3"]) == ""
    assert [text.partition("published: ")[2].partition(";")[0] for text in caplog.messages] == [
        "9 of 8 queries",
        "1 of 2 train images",
        "no folder cam3",
    ]


def test_results_are_labelled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_small("msvr310", tmp_path, patches((16, 8)))
    data = ModalDataManager(
        root=str(tmp_path), sources="msvr310", height=16, width=8, workers=0, use_gpu=False, batch_size_test=64
    )

    class Means(nn.Module):
        def forward(self, batch: Any) -> Any:
            return batch["images"].flatten(3).mean(-1).flatten(1)

    engine = PromptEngine(data, Means(), None, use_gpu=False, chance=False)
    with caplog.at_level(logging.INFO):
        engine.run(save_dir=str(tmp_path / "run"), test_only=True)
    note = "last, 60 of 591 queries, 66 of 1055 gallery samples"
    assert f"[{note}] msvr310" in caplog.text
    for file in (tmp_path / "run").glob("results-*.json"):
        assert json.loads(file.read_text())["selection"] == note


def test_arrays_in_place_of_images_are_told(tmp_path: Path) -> None:
    folder = WRITERS["sysu_mm01"](tmp_path)
    for camera in range(1, 7):
        shutil.rmtree(folder / f"cam{camera}")
    for name in ("rgb", "ir"):
        np.save(folder / f"train_{name}_resized_img.npy", np.zeros((1, 2, 2, 3), np.uint8))
    told = (
        r"train_ir_resized_img\.npy, train_rgb_resized_img\.npy of a preprocessing script .* need the original images"
    )
    with pytest.raises(ValueError, match=told):
        SYSUMM01(str(folder))
    shutil.rmtree(folder / "exp")
    with pytest.raises(FileNotFoundError, match=told):
        SYSUMM01(str(folder))
    with pytest.raises(FileNotFoundError, match=told):
        SYSUMM01(str(tmp_path))


def test_what_lies_in_place_of_identities_is_told(tmp_path: Path) -> None:
    folder = WRITERS["sysu_mm01"](tmp_path)
    for camera in range(1, 7):
        (folder / f"cam{camera}" / "0001").rename(folder / f"cam{camera}" / "person_1")
    with pytest.raises(ValueError, match=r"no image of identity 1, which .*cam1 with 0002, 0003, person_1, cam2 with"):
        load("sysu_mm01", tmp_path)


TRIPLES = [name for name in SMALL if SMALL[name][2]]


@pytest.mark.parametrize("incomplete", ["skip", "keep"])
@pytest.mark.parametrize("name", TRIPLES)
def test_a_modality_in_a_folder_of_another_name(tmp_path: Path, name: str, incomplete: str) -> None:
    folder = write_small(name, tmp_path)
    wanted = SMALL[name][2][2]
    for place in sorted(folder.rglob(wanted)):
        place.rename(place.with_name("TIR"))
    with pytest.raises(
        ValueError, match=rf"no sample has a thermal_infrared image: looked for {wanted}/<name> .* has .*TIR"
    ):
        load(name, tmp_path, incomplete=incomplete)


@pytest.mark.parametrize("incomplete", ["skip", "keep"])
@pytest.mark.parametrize("name", TRIPLES)
def test_a_modality_in_files_of_no_image_format(tmp_path: Path, name: str, incomplete: str) -> None:
    folder = write_small(name, tmp_path)
    wanted = SMALL[name][2][1]
    for place in sorted(folder.rglob(wanted)):
        for file in place.iterdir():
            file.rename(file.with_suffix(".raw"))
    with pytest.raises(ValueError, match=rf"no sample has a near_infrared image: .*\.tiff.*but {wanted} has .*\.raw"):
        load(name, tmp_path, incomplete=incomplete)


@pytest.mark.parametrize("name", TRIPLES)
def test_a_modality_that_one_split_lacks(tmp_path: Path, name: str) -> None:
    folder = write_small(name, tmp_path)
    split = next(reversed(SMALL[name][1]()))
    for place in sorted((folder / split).rglob(SMALL[name][2][0])):
        shutil.rmtree(place)
    with pytest.raises(ValueError, match=f"{split}: no sample has a visible image"):
        load(name, tmp_path, incomplete="keep")


def test_a_broken_image_of_a_whole_set_is_the_checks_business(tmp_path: Path) -> None:
    """Loading opens no image: counts alone are compared."""
    folder = WRITERS["regdb"](tmp_path)
    assert Image.open(next(folder.rglob("*.bmp"))).size == (2, 4)
    next(folder.rglob("*.bmp")).write_bytes(b"")
    assert load("regdb", tmp_path).train
