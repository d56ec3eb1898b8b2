"""Pages that hold everything."""

from __future__ import annotations

import base64
import io

import pytest
from jinja2 import UndefinedError
from PIL import Image

from promptreid.visual.pages import data_uri, png_uri, render


def test_texts_are_escaped_and_what_is_left_out_is_an_error() -> None:
    page = render("search.html", about="<b>&", threshold="", queries=[])
    assert "&lt;b&gt;&amp;" in page and "<b>" not in page and "prefers-color-scheme" in page
    with pytest.raises(UndefinedError, match="about"):
        render("search.html", threshold="", queries=[])


def test_a_picture_comes_back_from_its_address() -> None:
    head, _, data = png_uri(Image.new("RGB", (3, 2), (1, 2, 3))).partition(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).getpixel((2, 1)) == (1, 2, 3)
    assert data_uri(b"abc", "jpeg") == "data:image/jpeg;base64,YWJj"
