"""HTML pages that hold everything and load nothing: templates that escape what is put in, and pictures in the page."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **content: Any) -> str:
    """Render a page and escape every text in it.

    Args:
        template: name of a file in ``templates``, such as ``"report.html"``.
        content: what the template names.
    """
    return _environment().get_template(template).render(**content)


def data_uri(data: bytes, kind: str) -> str:
    """A file as an address that holds it.

    Args:
        data: the file.
        kind: of image, such as ``"png"``.
    """
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def png_uri(picture: Image.Image) -> str:
    """A picture as an address that holds it."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return data_uri(file.getvalue(), "png")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
