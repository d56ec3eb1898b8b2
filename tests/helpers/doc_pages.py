"""The Markdown files of the repository: their code, headings and links."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).parents[2]
RUNS = "<!-- runs -->"
"""Stands above a block of Python that runs as it is, in an empty folder and without a trained model."""
_FENCE = re.compile(r"^( *)(```+)([^\n`]*)\n(.*?)^\1\2 *$", flags=re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: what it says it is, its lines, where it begins, and whether :data:`RUNS` stands above it."""

    language: str
    code: str
    line: int
    runs: bool


def pages() -> list[Path]:
    """All of them, in order."""
    own = list(REPO.glob("*.md"))
    inside = [path for folder in ("docs", "benchmarks", ".github") for path in (REPO / folder).rglob("*.md")]
    return sorted({*own, *inside})


def name_of(page: Path) -> str:
    """A page's path in the repository."""
    return page.relative_to(REPO).as_posix()


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    """The fenced blocks of a page in these languages."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        language = match[3].strip().partition(" ")[0]
        if language in languages:
            above = text[: match.start()].rstrip().rpartition("\n")[2].strip()
            line = text.count("\n", 0, match.start()) + 1
            yield Block(language, textwrap.dedent(match[4]), line, above == RUNS)


def prose(page: Path) -> str:
    """A page without its fenced blocks and comments."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def headings(page: Path) -> list[str]:
    """Its headings, as they are written."""
    return re.findall(r"^#{1,6} +(.+?) *#*$", prose(page), flags=re.MULTILINE)


def links(page: Path) -> list[str]:
    """Targets of its links and pictures."""
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    return re.findall(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)", text)


def anchors(page: Path) -> set[str]:
    """Fragments that lead to a heading, as GitHub and as the site make them of it."""
    found: set[str] = set()
    for heading in headings(page):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        kept = re.sub(r"[^\w\s-]", "", words).strip()
        found |= {kept.replace(" ", "-"), re.sub(r"[-\s]+", "-", kept)}
    return found
