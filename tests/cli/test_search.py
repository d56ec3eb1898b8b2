"""The command line that searches galleries."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import promptreid
from vectors import description, vectors_of

from promptreid import GalleryIndex
from promptreid.retrieval.embedding_files import save_embeddings


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Vectors of a gallery, of more objects, of queries, and of others to calibrate on."""
    model, people = description(), np.arange(60) % 20
    found = {name: tmp_path / f"{name}.safetensors" for name in ("gallery", "more", "query", "held", "out")}
    extra = {"name": np.array([f"p{row}" for row in range(60)]), "when": np.arange(60.0), "seen": np.arange(60) % 3}
    save_embeddings(vectors_of(model, people, 1), found["gallery"], extra)
    save_embeddings(vectors_of(model, people, 2), found["more"])
    save_embeddings(vectors_of(model, [0, 1, 90], 3), found["query"])
    save_embeddings(vectors_of(model, people + 30, 4), found["held"], {"pids": people})
    return found


def test_from_vectors_to_hits(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    columns = ["--ids", "name", "--times", "when", "--cameras", "seen"]
    calibrate = ["--calibrate", files["held"], "--identities", "pids", "--far", "0.01"]
    assert promptreid("search", "build", files["gallery"], "--out", files["out"], *columns, *calibrate) == 0
    printed = capsys.readouterr().out
    assert "false accept rate of 0.01 a pair" in printed and f"60 objects, flat, in {files['out']}" in printed
    assert (
        promptreid("search", "query", files["out"], "--vectors", files["query"], "-k", "3", "--cameras", "0", "1") == 0
    )
    printed = capsys.readouterr().out
    index = GalleryIndex.load(files["out"])
    hits = index.search(vectors_of(index.model, [0, 1, 90], 3), 3, cameras=[0, 1])
    assert re.findall(r"  (p\d+)  ", printed) == [name for names in hits.ids for name in names]
    assert printed.count("camera 0") + printed.count("camera 1") == 9
    assert "3-0  known" in printed and "3-2  not in the gallery" in printed
    assert promptreid("search", "add", files["out"], files["more"]) == 0
    assert "120 objects" in capsys.readouterr().out and len(GalleryIndex.load(files["out"])) == 120


def test_images_are_embedded_by_the_model(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    class Toy:
        def embed(self, images: list[str], band: str | None) -> Any:
            asked.append((images, band))
            return vectors_of(description(), range(len(images)), 3)

    monkeypatch.setattr("promptreid.retrieval.loading.load", lambda source: asked.append(source) or Toy())
    assert promptreid("search", "build", files["gallery"], "--out", files["out"]) == 0
    assert (
        promptreid("search", "query", files["out"], "--model", "log/run", "--images", "a.png", "b.png", "--band", "rgb")
        == 0
    )
    assert asked == ["log/run", (["a.png", "b.png"], "rgb")]
    assert len(re.findall(r"^ +\d+ ", capsys.readouterr().out, re.MULTILINE)) == 20


def test_mistakes_are_one_line(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    build = ["build", files["gallery"], "--out", files["out"]]
    assert promptreid("search", *build) == 0
    for words, message in [
        ([*build[:2], "--out", "gallery.index"], "end in .safetensors"),
        ([*build, "--calibrate", files["held"]], "give both or neither"),
        ([*build, "--calibrate", files["held"], "--identities", "who"], "no column 'who'; it has pids"),
        ([*build, "--calibrate", files["held"], "--identities", "pids"], "smallest rate that they allow"),
        ([*build, "--ids", "who"], "no column 'who'; it has name"),
        ([*build, "--kind", "ivfpq"], "too few to train IVF-PQ"),
        (["add", files["out"], files["gallery"]], "in the gallery already"),
        (["query", files["out"]], "give --images and --model RUN"),
        (["query", files["out"], "--images", "a.png"], "give --images and --model RUN"),
        (["query", files["gallery"], "--vectors", files["query"]], "holds embeddings, not gallery"),
        (["query", files["out"], "--vectors", "none.safetensors"], "no such file of vectors"),
    ]:
        capsys.readouterr()
        assert promptreid("search", *words) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error
