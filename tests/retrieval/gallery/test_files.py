"""An index in a file is the index that was saved, after a kill the old one, and nothing else is taken for one."""

from __future__ import annotations

import itertools
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import Faults
from safetensors.numpy import load_file, save_file
from vectors import description, vectors_of

import promptreid
from promptreid import files
from promptreid.retrieval.gallery import stores


def filled(kind: str = "flat", space: str = "parts", count: int = 40) -> Any:
    model = description(space)
    gallery = vectors_of(model, np.arange(count) % 8, 1)
    index = promptreid.GalleryIndex(model, kind)
    times = np.where(np.arange(count) % 3 == 0, np.nan, np.arange(count) / 3)
    index.add(gallery, ids=[f"ü {row}" for row in range(count)], cameras=np.arange(count) % 4, times=times)
    return index


def same(hits: Any, others: Any) -> None:
    assert str(hits) == str(others)  # NaN differs from itself


@pytest.mark.parametrize("space", ["parts", "whole", "shared"])
@pytest.mark.parametrize("kind", stores.KINDS)
def test_what_is_saved_is_loaded(kind: str, space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind != "flat":
        pytest.importorskip("faiss")
    monkeypatch.setattr(stores, "LEAST_IVFPQ", 256)
    count = 400 if kind == "ivfpq" else 40
    index = filled(kind, space, count)
    people = np.arange(count) % 8
    index.calibrate(vectors_of(index.model, people, 1), people, 0.05)
    index.remove(["ü 3", "ü 30"])
    index.save(tmp_path / "g.safetensors")
    queries = vectors_of(index.model, range(5), 2)
    found = promptreid.GalleryIndex.load(tmp_path / "g.safetensors")
    assert (found.model, found.kind, len(found), found.threshold) == (index.model, kind, count - 2, index.threshold)
    assert found.recall == index.recall and bool(found.recall) == (kind != "flat")
    for asked in ({}, {"cameras": [1]}, {"since": 2}):
        same(found.search(queries, **asked), index.search(queries, **asked))
    found.add(vectors_of(index.model, [0], 9), ids=["new"])
    found.remove(["ü 1"])
    assert len(found) == count - 2
    found.save(tmp_path / "again.safetensors")
    assert len(promptreid.GalleryIndex.load(tmp_path / "again.safetensors")) == count - 2


def test_an_empty_index_is_saved(tmp_path: Path) -> None:
    promptreid.GalleryIndex(description()).save(tmp_path / "g.safetensors")
    assert len(promptreid.GalleryIndex.load(tmp_path / "g.safetensors")) == 0


def test_a_process_killed_while_saving_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    old, new = filled(), filled(count=60)
    old.save(path)
    died = 0
    for at in itertools.count(1):
        process = os.fork()
        if process == 0:
            patch = pytest.MonkeyPatch()
            patch.setattr(files, "open", open, raising=False)
            Faults(at, lambda: os.kill(os.getpid(), signal.SIGKILL)).install(patch)
            new.save(path)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        assert len(promptreid.GalleryIndex.load(path)) in (40, 60)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        died += 1
    assert died >= 3 and len(promptreid.GalleryIndex.load(path)) == 60


def test_broken_files_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    path = tmp_path / "g.safetensors"
    filled("hnsw").save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    start = 8 + int.from_bytes(whole[:8], "little")
    flipped = []
    for place in [*rng.integers(start, len(whole), 12).tolist(), len(whole) - 1]:
        flipped.append(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    for content in (b"", b"{}", whole[:100], whole[:-1], whole + b"x", *flipped):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"g\.safetensors"):
            promptreid.GalleryIndex.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, about: tensors.pop("cameras"), "not those that were written"),
        (lambda tensors, about: about.update(kind="embeddings"), "holds embeddings, not gallery"),
        (lambda tensors, about: about.update(layout="3"), "layout '3'"),
        (lambda tensors, about: about.update(model="{}"), "not a description of a model"),
        (lambda tensors, about: about.pop("index"), "has no index"),
        (lambda tensors, about: about.update(index="tree"), "none of flat"),
        (lambda tensors, about: about.update(threshold="[]"), "not a threshold"),
        (lambda tensors, about: about.update(recall="{]"), "g.safetensors"),
        (lambda tensors, about: about.update(sha256="{]"), "not those that were written"),
    ],
)
def test_files_of_other_things_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    from safetensors import safe_open

    path = tmp_path / "g.safetensors"
    filled().save(path)
    with safe_open(path, framework="np") as file:
        about = json.loads(file.metadata()["promptreid"])
    tensors = dict(load_file(path))
    change(tensors, about)
    save_file(tensors, path, metadata={"promptreid": json.dumps(about)})
    with pytest.raises(ValueError, match=message):
        promptreid.GalleryIndex.load(path)


def test_other_suffixes_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"end in \.safetensors"):
        filled().save(tmp_path / "g.index")
    with pytest.raises(FileNotFoundError, match="no such gallery"):
        promptreid.GalleryIndex.load(tmp_path / "g.safetensors")
