"""A data set that is there to be tested on needs nothing of its training part."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from every_data_set import BUILT, kind_of, remove_train, write
from fake_triples import write_small

from promptreid import DATASETS, host
from promptreid.data.batch import PathBundle
from promptreid.data.dataset import NoRecords
from promptreid.datasets.as_triples import AsTriples
from promptreid.datasets.table import Table

SIDES = ("query", "gallery")
MODES = ("train", *SIDES)


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The root of a whole data set, written once; read only."""
    written: dict[str, Path] = {}

    def root_of(name: str) -> Path:
        kind = kind_of(name)
        if kind not in written:
            written[kind] = write(name, tmp_path_factory.mktemp(kind))
        return written[kind]

    return root_of


def load(name: str, root: Path, **kwargs: Any) -> Any:
    with host.no_downloads():
        return DATASETS[name](root=str(root), verbose=False, **kwargs)


def shown(dataset: Any, root: Path) -> dict[str, list[Any]]:
    """All that a test sees of each record, without the folder that the data set lies in."""

    def inside(path: PathBundle) -> dict[str, str]:
        return {name: str(file).removeprefix(str(root)) for name, file in path.paths.items()}

    records = {side: list(getattr(dataset, side)) for side in SIDES}
    if isinstance(dataset, AsTriples):  # torchreid lists a folder in the order of the file system
        records = {side: sorted(found, key=lambda record: str(record[0])) for side, found in records.items()}
    return {
        side: [(inside(path), path.camera, dict(path.labels), *rest) for path, *rest in found]
        for side, found in records.items()
    }


@pytest.mark.parametrize("name", BUILT)
def test_the_tested_records_are_those_of_the_whole(
    name: str, wholes: Callable[[str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = shutil.copytree(wholes(name), tmp_path / "left")
    remove_train(name, root)
    whole = load(name, wholes(name), mode="query")
    expected = shown(whole, wholes(name))
    for mode in MODES:
        found = load(name, root, test_only=True, mode=mode)
        assert shown(found, root) == expected
        assert isinstance(found.train, NoRecords) and found.num_train_pids == 0
        assert found.data == getattr(found, mode)
        assert [one.name for one in found.protocols] == [one.name for one in whole.protocols]
        assert (found.split, found.camera_space, found.num_cameras) == (
            whole.split, whole.camera_space, whole.num_cameras)  # fmt: skip
    # Where all is there, the training part is left out all the same.
    assert shown(load(name, wholes(name), test_only=True), wholes(name)) == expected
    if not name.endswith("_dev"):  # which is of training identities
        with pytest.raises((FileNotFoundError, RuntimeError)):
            load(name, root)


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("rgbnt201", "60 of 836 test samples"),
        ("rgbnt201_dev", "20 of 3951 samples of train_171"),
        ("rgbnt100", "15 of 1715 queries, 60 of 8575 gallery samples"),
        ("rgbn300", ""),  # the gallery is counted together with the training samples
        ("wmveid863", "60 of 1228 distinct test samples"),
    ],
)
def test_only_what_is_tested_is_compared_with_the_published_counts(
    name: str, note: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_small(kind_of(name), tmp_path)
    remove_train(name, tmp_path)
    with caplog.at_level(logging.WARNING):
        assert load(name, tmp_path, test_only=True).incomplete_note == note
    assert "train samples" not in caplog.text
    assert (note in caplog.text) and bool(caplog.records) == bool(note)


@pytest.mark.parametrize("name", ["rgbnt201", "rgbnt100", "msvr310", "wmveid863", "market_mm", "llcm", "sysu_mm01"])
def test_what_is_tested_has_to_be_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"not found at .* set data\.root"):
        load(name, tmp_path, test_only=True)


def test_beside_a_stray_folder_the_whole_one_is_meant(wholes: Callable[[str], Path], tmp_path: Path) -> None:
    """``/data/test`` is none of RGBNT201's as long as a folder has all of the data set."""
    shutil.copytree(wholes("rgbnt201") / "RGBNT201", tmp_path / "RGBNT201")
    (tmp_path / "test").mkdir()
    found = load("rgbnt201", tmp_path, test_only=True)
    assert shown(found, tmp_path) == shown(load("rgbnt201", wholes("rgbnt201")), wholes("rgbnt201"))
    remove_train("rgbnt201", tmp_path)
    with pytest.raises(ValueError, match=r"is at .* and at .*: set data\.root"):
        load("rgbnt201", tmp_path, test_only=True)


def test_torchreids_own_need_the_rest_as_ever(wholes: Callable[[str], Path], tmp_path: Path) -> None:
    root = shutil.copytree(wholes("market1501_as_triples"), tmp_path / "left")
    before = host.ImageDataset.__mro__[1].check_before_run
    shutil.rmtree(next(root.rglob("query")))
    with pytest.raises(RuntimeError, match='query" is not found'):
        AsTriples("market1501", root=str(root), test_only=True, verbose=False)
    assert host.ImageDataset.__mro__[1].check_before_run is before


def write_table(folder: Path, images: tuple[str, ...]) -> Path:
    """Two trained and two tested identities, and the image files that are asked for."""
    lines = ["path,pid,camid,modality,split"]
    for pid, split in ((1, "train"), (2, "train"), (3, "query"), (3, "gallery")):
        for modality in ("visible", "infrared") if split == "train" else (("infrared", "visible")[split == "gallery"],):
            file = f"{pid}_{modality}.png"
            lines.append(f"{file},{pid},{int(modality == 'visible')},{modality},{split}")
            if split in images:
                (folder / file).touch()
    path = folder / "images.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("mode", MODES)
def test_the_images_of_a_tables_train_rows_may_be_missing(tmp_path: Path, mode: str) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "left").mkdir()
    whole = Table(table=str(write_table(tmp_path / "whole", ("train", *SIDES))), verbose=False)
    build = partial(Table, table=str(write_table(tmp_path / "left", SIDES)), verbose=False, mode=mode)
    found = build(test_only=True)
    assert shown(found, tmp_path / "left") == shown(whole, tmp_path / "whole")
    assert isinstance(found.train, NoRecords) and len(whole.train) == 4
    with pytest.raises(ValueError, match=r"1_visible\.png: no such file"):
        build()


def test_a_tables_tested_rows_may_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"3_infrared\.png: no such file"):
        Table(table=str(write_table(tmp_path, ("train", "gallery"))), test_only=True)
    path = tmp_path / "images.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-2]) + "\n")
    with pytest.raises(ValueError, match=r"data\.targets names the data set 'table', but no row has the split query"):
        Table(table=str(path), test_only=True)
