"""The command line that makes descriptors smaller, up to a search among them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import promptreid
from vectors import description, vectors_of

from promptreid import GalleryIndex
from promptreid.retrieval.compression.compressor import Compressor
from promptreid.retrieval.embedding_files import load_embeddings, save_embeddings


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Vectors to fit on, to test, and of another model; and what is written."""
    people = np.arange(300) % 20
    names = ("train", "test", "other", "small", "smaller", "index")
    found = {name: tmp_path / f"{name}.safetensors" for name in names}
    columns = {"pids": people, "camids": people // 5 % 2 + np.arange(300) // 100}
    save_embeddings(vectors_of(description(), people, 1), found["train"])
    save_embeddings(vectors_of(description(), people, 2), found["test"], columns)
    save_embeddings(vectors_of(description(model_id="b" * 64), people, 2), found["other"])
    return found


def test_from_fitting_to_searching(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--dim", "6", "--whiten", "--store", "int8", "--out", files["small"]]
    assert promptreid("compress", "fit", files["train"], *words) == 0
    assert "6 whitened, int8: 6 bytes an object rather than 48, in" in capsys.readouterr().out
    assert promptreid("compress", "apply", files["test"], "--with", files["small"], "--out", files["smaller"]) == 0
    assert "300 objects, 6 whitened, int8, 6 bytes each, in" in capsys.readouterr().out
    small, (plain, columns) = Compressor.load(files["small"]), load_embeddings(files["test"])
    found, kept = load_embeddings(files["smaller"])
    np.testing.assert_array_equal(found.vectors, small.apply(plain).vectors)
    assert kept["pids"].tolist() == columns["pids"].tolist()
    assert promptreid("search", "build", files["smaller"], "--out", files["index"]) == 0
    capsys.readouterr()

    class Toy:
        def embed(self, images: list[str], band: str | None) -> Any:
            return plain[: len(images)]

    monkeypatch.setattr("promptreid.retrieval.loading.load", lambda source: Toy())
    assert promptreid("search", "query", files["index"], "--model", "run", "--images", "a.png", "b.png") == 0
    printed = re.findall(r"^ +\d+ +[\d.]+ +(\S+)", capsys.readouterr().out, re.MULTILINE)
    hits = GalleryIndex.load(files["index"]).search(plain[:2])
    assert printed == [name for names in hits.ids for name in names]
    assert hits.ids[0][0] == plain.names[0]


def test_a_table_of_several(files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--fit", files["train"], "--dims", "6", "9", "--stores", "float32", "int8", "--json", tmp_path / "t.json"]
    assert promptreid("compress", "compare", files["test"], *words) == 0
    printed = capsys.readouterr().out
    rows = json.loads((tmp_path / "t.json").read_text())["rows"]
    assert [row["bytes"] for row in rows] == [48, 24, 6, 36, 9]
    assert all(f"| {100 * row['mAP']:.2f} |" in printed for row in rows)
    for dim in (6, 9):
        out = tmp_path / f"{dim}.safetensors"
        assert promptreid("compress", "fit", files["train"], "--dim", dim, "--store", "int8", "--out", out) == 0
    capsys.readouterr()
    words = [tmp_path / "6.safetensors", tmp_path / "9.safetensors", "--json", tmp_path / "again.json"]
    assert promptreid("compress", "compare", files["test"], "--with", *words) == 0
    assert json.loads((tmp_path / "again.json").read_text())["rows"] == [rows[0], rows[2], rows[4]]


def test_mistakes_are_one_line(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert promptreid("compress", "fit", files["train"], "--dim", "6", "--out", files["small"]) == 0
    apply = ["apply", files["test"], "--with", files["small"], "--out"]
    assert promptreid("compress", *apply, files["smaller"]) == 0
    compare = ["compare", files["test"]]
    for words, message in [
        (["fit", files["train"], "--out", files["index"]], "float32 changes nothing"),
        (["fit", files["train"], "--dim", "60", "--out", files["index"]], "20 numbers of 4"),
        (["fit", files["train"], "--dim", "6", "--out", "small.npz"], "end in .safetensors"),
        (["fit", files["smaller"], "--dim", "3", "--out", files["index"]], "compressed already"),
        ([*apply, files["smaller"]], "is there already"),
        (["apply", files["smaller"], *apply[2:], files["index"]], "compressed already"),
        (["apply", files["other"], *apply[2:], files["index"]], "of different weights"),
        (
            ["apply", files["test"], "--with", files["test"], "--out", files["index"]],
            "holds embeddings, not compressor",
        ),
        (compare, "give --with FILE ..., or --fit TRAIN"),
        ([*compare, "--with", files["small"], "--fit", files["train"]], "give --with FILE ..., or --fit TRAIN"),
        ([*compare, "--with", files["small"], "--dims", "6"], "the compressors of --with are fitted"),
        (
            [*compare, "--with", files["small"], "--identities", "who"],
            "no column 'who' of identities; the file has camids, pids",
        ),
        ([*compare, "--fit", files["train"], "--dims", "6", "--stores", "pq3x"], "'pq3x' is none of"),
    ]:
        capsys.readouterr()
        assert promptreid("compress", *words) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error
