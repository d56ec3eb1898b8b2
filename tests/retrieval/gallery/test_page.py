"""Pictures and pages of what a search has found."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import promptreid
from PIL import Image
from vectors import description, vectors_of

from promptreid import GalleryIndex
from promptreid.retrieval.embedding_files import save_embeddings
from promptreid.retrieval.gallery.hits import Hit, Hits
from promptreid.retrieval.gallery.page import draw_hits, files_of, joined_paths, write_page, write_picture


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    """Six images of one colour each."""
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        Image.new("RGB", (16, 32), (40 * number, 10, 200)).save(path)
    return [str(path) for path in paths]


def test_paths_of_bands_travel_as_one_text(images: list[str]) -> None:
    triples = joined_paths([np.array([images[0], ""]), np.array([images[1], images[2]]), np.array(["", images[3]])])
    assert files_of(triples[0], 3) == (images[0], images[1], None)
    assert files_of(triples[1], 3) == (None, images[2], images[3])
    single = joined_paths([np.array([images[0], ""]), np.array(["", images[1]])])
    assert single.tolist() == images[:2]
    assert files_of(single[0], 2) == (images[0],)
    assert files_of("gone.png", 2) == (None,)


def test_a_picture_shows_the_query_and_what_was_found(images: list[str]) -> None:
    hits = Hits(("a/query",), ((Hit("x", 0.9, images[1], 2), Hit("y", 0.1, "gone.png")),), (True,))
    picture = np.asarray(draw_hits(hits, 0, images[0], description()).convert("RGB")).reshape(-1, 3)
    colours = {tuple(colour) for colour in picture.tolist()}
    assert (0, 10, 200) in colours and (40, 10, 200) in colours
    assert (80, 10, 200) not in colours


def test_a_page_holds_everything_and_no_markup_of_others(images: list[str], tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    hits = Hits((name, "second"), ((Hit(name, 0.5, images[1]),), ()), (False, True))
    write_page(tmp_path / "page.html", hits, [images[0], ""], description(), "calibrated on <5> pairs")
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page and "&lt;5&gt; pairs" in page and "http" not in page
    assert page.count("not in the gallery, by the threshold") == 1 and "Nothing was found." in page
    pictures = re.findall(r"base64,([\w+/=]+)", page)
    assert len(pictures) == 2
    assert Image.open(io.BytesIO(base64.b64decode(pictures[0]))).format == "PNG"


def test_too_many_queries_for_a_picture(tmp_path: Path) -> None:
    hits = Hits(tuple(map(str, range(21))), ((),) * 21)
    with pytest.raises(ValueError, match="write a page instead"):
        write_picture(tmp_path / "out.png", hits, [""] * 21, description())
    with pytest.raises(ValueError, match=r"ends in \.png"):
        write_picture(tmp_path / "out.jpg", hits, [""] * 21, description())


def test_the_command_draws_what_embed_has_written(images: list[str], tmp_path: Path) -> None:
    model = description()
    bands = model.modalities
    vectors = vectors_of(model, range(6), 1)
    shown = {name: np.array(images if name == bands[0] else [""] * 6, dtype=object) for name in bands}
    save_embeddings(vectors, tmp_path / "v.safetensors", shown)
    assert promptreid("search", "build", tmp_path / "v.safetensors", "--out", tmp_path / "g.safetensors") == 0
    assert [hit.path for hit in GalleryIndex.load(tmp_path / "g.safetensors").search(vectors[:1], 1)[0]] == images[:1]
    query = ["search", "query", tmp_path / "g.safetensors", "--vectors", tmp_path / "v.safetensors", "-k", 3]
    assert promptreid(*query, "--html", tmp_path / "p.html", "--picture", tmp_path / "p.png") == 0
    assert Image.open(tmp_path / "p.png").height > 6 * 100
    assert (tmp_path / "p.html").read_text().count("<h2>") == 6
