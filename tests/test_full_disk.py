"""A disk without room: every writer names its path, leaves what was there, and leaves nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faults import little_room, small_disk
from PIL import Image
from small_runs import newest, small_config
from vectors import description, vectors_of

import promptreid
from promptreid.data.packing import Pack, write_pack
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.files import LOCK, FolderLock, is_temporary
from promptreid.models.weights import read_state_dict
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embed_job import embed_to_file
from promptreid.retrieval.embedder import Embedder
from promptreid.retrieval.embedding_files import load_embeddings, save_embeddings
from promptreid.retrieval.object_lists import list_objects
from promptreid.runs.run import run

ROOM = 40_000


def save_checkpoint(folder: Path, size: int) -> Path:
    epoch = 1 + len(checkpoint.checkpoints(folder))
    return checkpoint.save({"state_dict": {"a": torch.rand(size // 4)}, "epoch": epoch}, folder)


def save_weights(folder: Path, size: int) -> Path:
    checkpoint.save_weights({"a": torch.rand(size // 4)}, folder / "w.safetensors", {})
    return folder / "w.safetensors"


def save_vectors(suffix: str) -> Callable[[Path, int], Path]:
    def save(folder: Path, size: int) -> Path:
        model = description()
        save_embeddings(vectors_of(model, np.arange(size // 48) % 8), folder / f"v{suffix}")
        return folder / f"v{suffix}"

    return save


def save_index(folder: Path, size: int) -> Path:
    model = description()
    index = promptreid.GalleryIndex(model)
    index.add(vectors_of(model, np.arange(size // 48) % 8))
    index.save(folder / "g.safetensors")
    return folder / "g.safetensors"


def save_pack(folder: Path, size: int) -> Path:
    images = folder.parent / "images"
    images.mkdir(exist_ok=True)
    if not (images / "a.png").exists():
        Image.new("RGB", (8, 8), (1, 2, 3)).save(images / "a.png")
    side = int((size / 3) ** 0.5)
    write_pack(folder / "p.npy", images, [str(images / "a.png")], side, side, "bilinear")
    return folder / "p.npy"


WRITERS: dict[str, tuple[Callable[[Path, int], Path], Callable[[Path], object]]] = {
    "checkpoint": (save_checkpoint, lambda path: checkpoint.load_newest(path.parent)),
    "weights": (save_weights, read_state_dict),
    "vectors": (save_vectors(".safetensors"), load_embeddings),
    "parquet": (save_vectors(".parquet"), load_embeddings),
    "index": (save_index, promptreid.GalleryIndex.load),
    "pack": (
        save_pack,
        lambda path: Pack(path, path.parents[1] / "images").read(str(path.parents[1] / "images/a.png")),
    ),
}


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(name: str, folder: Path, size: int) -> None:
    write, load = WRITERS[name]
    path = write(folder, 6_000)
    before = content(folder)
    with pytest.raises(ValueError, match=rf"^{folder}/\S+ could not be written \(.+\); .*make room"):
        write(folder, size)
    assert content(folder) == before
    assert load(path) is not None


@pytest.mark.parametrize("name", WRITERS)
def test_a_limit_of_the_kernel(name: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    if name == "parquet":
        pytest.importorskip("pyarrow")
    with little_room(ROOM):
        assert_refused(name, tmp_path / "out", 400_000)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk(name: str, tmp_path: Path) -> None:
    """Of a pack, whose pages would otherwise find no room when they are written to, which ends a process."""
    if name == "parquet":
        pytest.importorskip("pyarrow")
    with small_disk(tmp_path / "out") as disk:
        assert_refused(name, disk, 1_000_000)


MODEL = ModelDescription(
    "mean_colour", "0" * 64, ("visible", "infrared"), 1, 8, 4, (0.5,) * 3, (0.5,) * 3, 3000, ((0, 3000),)
)


def test_an_embedding_goes_on_when_there_is_room(small_root: Path, tmp_path: Path) -> None:
    reid = Embedder(MODEL, lambda batch: batch["images"].mean(dim=(1, 3, 4)).repeat(1, 1000), batch_size=3)
    found = list_objects(str(small_root / "SYSU-MM01" / "cam1"), MODEL, "visible")
    out = tmp_path / "v.safetensors"
    old = embed_to_file(reid, found, tmp_path / "old.safetensors", part_size=3)
    shutil.copy(tmp_path / "old.safetensors", out)
    refused = pytest.raises(ValueError, match=rf"^{out} could not be written \(.+\); .*make room")
    with little_room(80_000), refused:  # enough for each part
        embed_to_file(reid, found, out, part_size=3, overwrite=True)
    assert len(load_embeddings(out)[0]) == len(old)
    out.unlink()
    with little_room(10_000), pytest.raises(ValueError, match=r"v\.safetensors\.parts/part-000000\.safetensors could"):
        embed_to_file(reid, found, out, part_size=3, overwrite=True)
    assert not [path for path in tmp_path.rglob("*") if is_temporary(path) or path.name == LOCK]
    embed_to_file(reid, found, out, part_size=3)
    assert out.read_bytes() == (tmp_path / "old.safetensors").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.safetensors", "v.safetensors"]


def test_a_training_ends_with_its_last_checkpoint(
    small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = checkpoint.save, []

    def full_at_the_second(state: dict[str, Any], folder: Path, keep: int = 2) -> Path:
        calls.append(state)
        with little_room(10_000 if len(calls) == 2 else 10**9):
            return save(state, folder, keep)

    monkeypatch.setattr(checkpoint, "save", full_at_the_second)
    with pytest.raises(ValueError, match=r"model\.pth\.tar-2 could not be written .*continue with --resume"):
        run(small_config(small_root, tmp_path / "run"))
    assert newest(tmp_path / "run")["epoch"] == 1
    assert not [path for path in (tmp_path / "run").rglob("*") if is_temporary(path) or path.name == LOCK]


def test_other_files_of_a_run_name_its_folder(
    small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("promptreid.engine.checkpoints.metrics_log.MetricsLog.write", full)
    with pytest.raises(ValueError, match=rf"^{tmp_path}/run could not be written \(No space left on device\); "):
        run(small_config(small_root, tmp_path / "run"))


def test_a_lock_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "run")
    with little_room(0), pytest.raises(OSError, match="File too large"):
        lock.acquire()
    assert not (tmp_path / "run").exists()
    lock.acquire()
    assert json.loads((tmp_path / "run" / LOCK).read_text())["process"]
    lock.release()
