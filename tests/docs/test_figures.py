"""Names in drawn figures are those of the code."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from importlib import import_module
from pathlib import Path

import pytest
from doc_pages import REPO

FIGURE = REPO / "docs" / "images" / "one_sample.svg"
NAMES = re.findall(r'data-name="([\w.]+)"', FIGURE.read_text())


def named(path: str) -> object:
    """The module, class or function of a dotted name."""
    head, _, tail = path.rpartition(".")
    try:
        return getattr(import_module(head), tail)
    except ModuleNotFoundError:
        return getattr(named(head), tail)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_the_figure_exists(name: str) -> None:
    assert callable(named(name))


def test_the_figure_is_a_picture_that_needs_nothing_else() -> None:
    root = ET.parse(FIGURE).getroot()
    assert root.tag.endswith("svg") and len(NAMES) >= 12
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", FIGURE.read_text())


@pytest.mark.parametrize("path", sorted((REPO / "docs" / "images").rglob("*.*")), ids=lambda path: path.name)
def test_pictures_are_small(path: Path) -> None:
    assert path.stat().st_size < 500_000
