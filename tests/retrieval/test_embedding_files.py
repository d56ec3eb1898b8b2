"""Files of vectors keep all of them, say whose they are, and refuse what is none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from vectors import description, vectors_of

from promptreid.retrieval.embedding_files import load_embeddings, save_embeddings
from promptreid.retrieval.embeddings import Embeddings

SUFFIXES = (".safetensors", ".parquet")


def of_suffix(suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("space", ["parts", "whole", "shared"])
def test_what_is_written_is_read(suffix: str, space: str, tmp_path: Path) -> None:
    of_suffix(suffix)
    model = description(space)
    given = vectors_of(model, [0, 0, 1, 2])
    given.names[1] = "Ü ☂\n.png"
    given = Embeddings(model, given.vectors, given.present, given.names, given.cameras, (("bad.png", "no image"),))
    extra = {"pids": np.array([0, 0, 1, 2]), "site": np.array(["a", "", "längst", "d"]), "time": np.arange(4) / 3}
    save_embeddings(given, tmp_path / f"v{suffix}", extra)
    found, others = load_embeddings(tmp_path / f"v{suffix}")
    assert found.model == model and found.failed == given.failed
    for name in ("vectors", "present", "names", "cameras"):
        np.testing.assert_array_equal(getattr(found, name), getattr(given, name))
        assert getattr(found, name).dtype == getattr(given, name).dtype
    assert sorted(others) == sorted(extra)
    for name, values in extra.items():
        np.testing.assert_array_equal(others[name], values)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_object_at_all_is_a_file_too(suffix: str, tmp_path: Path) -> None:
    of_suffix(suffix)
    given = vectors_of(description(), [0])[:0]
    save_embeddings(given, tmp_path / f"v{suffix}")
    found, _ = load_embeddings(tmp_path / f"v{suffix}")
    assert found.vectors.shape == (0, 12) and found.present.shape == (0, 3)


def test_names_that_are_not_utf_8_are_kept(tmp_path: Path) -> None:
    given = vectors_of(description(), [0])
    given.names[0] = os.fsdecode(b"\xff.png")
    save_embeddings(given, tmp_path / "v.safetensors")
    assert load_embeddings(tmp_path / "v.safetensors")[0].names.tolist() == given.names.tolist()
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match=r"use \.safetensors"):
        save_embeddings(given, tmp_path / "v.parquet")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_broken_and_foreign_files_are_refused(suffix: str, tmp_path: Path) -> None:
    of_suffix(suffix)
    path = tmp_path / f"v{suffix}"
    with pytest.raises(FileNotFoundError, match="no such file of vectors"):
        load_embeddings(path)
    save_embeddings(vectors_of(description(), [0, 1]), path)
    whole = path.read_bytes()
    renamed = [whole.replace(b'"model_id', b'"madel_id')] if suffix == ".safetensors" else []
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:-3], *renamed):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=path.name):
            load_embeddings(path)


def test_a_safetensors_file_of_something_else_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"vectors": np.zeros((2, 3))}, tmp_path / "v.safetensors")
    with pytest.raises(ValueError, match="not embeddings of promptreid"):
        load_embeddings(tmp_path / "v.safetensors")


def test_columns_and_suffixes_are_checked(tmp_path: Path) -> None:
    given = vectors_of(description(), [0, 1])
    for name, values in (("names", np.zeros(2)), ("a.b", np.zeros(2)), ("pids", np.zeros(3))):
        with pytest.raises(ValueError, match=name):
            save_embeddings(given, tmp_path / "v.safetensors", {name: values})
    with pytest.raises(ValueError, match=r"end in \.safetensors, \.parquet"):
        save_embeddings(given, tmp_path / "v.csv")
    assert not list(tmp_path.iterdir())
