"""``promptreid embed``: folders, tables and data sets into files of vectors, through kills and bad images."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import promptreid as command
from vectors import BANDS, description

import promptreid
from promptreid import host
from promptreid.data.batch import PathBundle
from promptreid.files import FolderLock
from promptreid.retrieval.embed_job import embed_to_file
from promptreid.retrieval.embedding_files import load_embeddings
from promptreid.retrieval.extraction import extract
from promptreid.retrieval.object_lists import SPLITS, from_data_set, list_objects


@pytest.fixture(scope="module")
def bands(mip: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with folders of bands, eight images each, and one file that is no image."""
    table, folder = extract(mip), tmp_path_factory.mktemp("images")
    for band, name in (("visible", "RGB"), ("infrared", "ir")):
        (folder / name / "deep").mkdir(parents=True)
        for number, row in enumerate(np.flatnonzero(table.modality == band)[:8]):
            source = Path(mip.data.root) / table.paths[row]
            shutil.copy(source, folder / name / ("deep" if number % 2 else "") / f"{number}{source.suffix}")
    (folder / "RGB" / "._0.jpg").write_bytes(b"of an operating system")
    return folder


def test_a_folder_of_bands(mip: Any, bands: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.parquet"
    assert command("embed", mip.data.save_dir, bands, "--out", out, "--part-size", 5) == 0
    found, columns = load_embeddings(tmp_path / "v.parquet")
    assert len(found) == 16
    assert not (tmp_path / "v.parquet.parts").exists()
    reid = promptreid.load(mip.data.save_dir)
    for row in (0, 15):
        band = reid.modalities[int(found.present[row].argmax())]
        path = columns[band][row]
        assert Path(path) == bands / found.names[row]
        np.testing.assert_allclose(reid.embed(path, band=band).vectors[0], found.vectors[row], atol=1e-5)


def test_a_table_of_triples_with_a_missing_band_and_further_columns(dmpt: Any, tmp_path: Path) -> None:
    paths = [str(Path(dmpt.data.root) / path) for path in extract(dmpt).paths[:2]]
    table = tmp_path / "triples.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "RGB", "nir", "TIR", "person", "place"])
        for number, path in enumerate(paths):
            thermal = path.replace("/RGB/", "/TI/") if number else ""
            near = os.path.relpath(path.replace("/RGB/", "/NI/"), tmp_path)
            writer.writerow([f"object {number}", path, near, thermal, 7 + number, "gate"])
    reid = promptreid.load(dmpt.data.save_dir)
    embed_to_file(reid, list_objects(str(table), reid.model), tmp_path / "v.safetensors")
    found, columns = load_embeddings(tmp_path / "v.safetensors")
    assert [found.bands(row) for row in range(2)] == ["RGB+NIR", "RGB+NIR+TIR"]
    assert found.names.tolist() == ["object 0", "object 1"]
    assert columns["person"].tolist() == [7, 8]
    assert columns["place"].tolist() == ["gate", "gate"]
    assert columns["thermal_infrared"].tolist()[0] == ""


def test_a_data_set_gives_the_vectors_that_are_extracted_from_it(mip: Any, tmp_path: Path) -> None:
    reid = promptreid.load(mip.data.save_dir)
    found = list_objects("sysu_mm01", reid.model, root=mip.data.root)
    done = embed_to_file(reid, found, tmp_path / "v.safetensors")
    table = extract(mip)
    np.testing.assert_allclose(done.vectors, table.features.numpy(), atol=2e-5)
    _, columns = load_embeddings(tmp_path / "v.safetensors")
    for name in ("pids", "camids", "split"):
        assert columns[name].tolist() == getattr(table, name).tolist()


def test_a_killed_job_goes_on_to_the_same_bytes(
    mip: Any, bands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reid = promptreid.load(mip.data.save_dir, batch_size=4)
    found = list_objects(str(bands), reid.model)
    whole, killed = tmp_path / "whole" / "v.safetensors", tmp_path / "killed" / "v.safetensors"
    embed_to_file(reid, found, whole, part_size=4)
    calls, backend = iter(range(3)), reid.backend

    def dies(batch: Any) -> Any:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return backend(batch)

    monkeypatch.setattr(reid, "backend", dies)
    with pytest.raises(KeyboardInterrupt):
        embed_to_file(reid, found, killed, part_size=4)
    assert len(list(killed.with_name("v.safetensors.parts").glob("part-*"))) == 3
    monkeypatch.setattr(reid, "backend", backend)
    embed_to_file(reid, found, killed, part_size=4)
    assert whole.read_bytes() == killed.read_bytes()


def test_what_cannot_be_read_is_listed(mip: Any, bands: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(bands, folder)
    bad = sorted((folder / "RGB").glob("[0-9]*"))[0]
    bad.write_bytes(b"no image")
    reid = promptreid.load(mip.data.save_dir)
    found = list_objects(str(folder), reid.model)
    with pytest.raises(ValueError, match=bad.name):
        embed_to_file(reid, found, tmp_path / "v.safetensors")
    with pytest.raises(ValueError, match="other on_error"):
        embed_to_file(reid, found, tmp_path / "v.safetensors", on_error="skip")
    done = embed_to_file(reid, found, tmp_path / "v.safetensors", on_error="skip", overwrite=True)
    assert len(done) == 15
    failed = (tmp_path / "v.safetensors.failed.csv").read_text()
    assert bad.name in failed
    with pytest.raises(ValueError, match="is there already"):
        embed_to_file(reid, found, tmp_path / "v.safetensors")


def test_two_jobs_do_not_write_one_file(mip: Any, bands: Path, tmp_path: Path) -> None:
    reid = promptreid.load(mip.data.save_dir)
    found = list_objects(str(bands), reid.model)
    parts = tmp_path / "v.safetensors.parts"
    parts.mkdir()
    (parts / "part-000000.safetensors").write_bytes(b"of another job")
    lock = FolderLock(parts)
    lock.acquire()
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="is in use by"):
            embed_to_file(reid, found, tmp_path / "v.safetensors", overwrite=overwrite)
    assert (parts / "part-000000.safetensors").is_file()
    lock.release()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("path,band\na.png,uv\n", r"row 1: band 'uv'"),
        ("file\na.png\n", "needs a column path"),
        ("path\na.png\n", "--band"),
        ("path,band\na.png,rgb\na.png,rgb\n", "two objects are called 'a.png'"),
        ("rgb,ir\na.png,b.png\n", "single images"),
        ("rgb,camera\na.png,99\n", "camera 99"),
        ("rgb,camera\na.png,one\n", "no whole number"),
        ("rgb\n\n", "no rows|no image"),
        ("rgb,ir\na.png\n", "cells"),
    ],
)
def test_refuses_tables(mip: Any, rows: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(rows)
    with pytest.raises(ValueError, match=message):
        list_objects(str(tmp_path / "t.csv"), promptreid.load(mip.data.save_dir).model)


def test_refuses_what_is_no_source(mip: Any, tmp_path: Path) -> None:
    model = promptreid.load(mip.data.save_dir).model
    with pytest.raises(ValueError, match="no image in it"):
        list_objects(str(tmp_path), model, "rgb")
    with pytest.raises(ValueError, match="--band"):
        list_objects(str(tmp_path), model)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        list_objects("nowhere", model)
    with pytest.raises(ValueError, match="split 'train' is of data sets"):
        list_objects(str(tmp_path), model, "rgb", split="train")


def test_scenes_of_a_data_set_are_kept_where_all_images_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def record(number: int, labels: dict[str, int]) -> Any:
        return PathBundle({name: f"{name}{number}.png" for name in BANDS}, 0, labels), number, 0

    lists = {"query": [record(0, {"scene": 3})], "gallery": [record(1, {"scene": 5})], "train": [record(2, {})]}
    monkeypatch.setattr(host, "dataset_factory", lambda name: lambda **_: SimpleNamespace(**lists))
    found = {split: from_data_set("any", description(), "", splits) for split, splits in SPLITS.items()}
    assert found["test"].columns["scenes"].tolist() == [3, 5] and found["test"].columns["pids"].tolist() == [0, 1]
    assert "scenes" not in found["train"].columns and found["train"].columns["split"].tolist() == ["train"]
