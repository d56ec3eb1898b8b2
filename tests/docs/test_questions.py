"""Readers' questions: the heading that answers each exists, and the site's search finds its page."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections import Counter
from html import unescape
from importlib.util import find_spec
from pathlib import Path

import pytest
from doc_pages import REPO, headings

QUESTIONS = json.loads((Path(__file__).parent / "questions.json").read_text())
FIRST = 5
STOP = {
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "from", "how", "i", "in", "is", "it", "its",
    "me", "my", "not", "of", "on", "or", "that", "the", "there", "to", "was", "what", "when", "which", "who", "why",
    "with",
}  # fmt: skip


@pytest.mark.parametrize("asked", QUESTIONS, ids=lambda asked: asked["question"])
def test_the_heading_that_answers_exists(asked: dict[str, str]) -> None:
    assert asked["heading"] in headings(REPO / asked["page"])


def test_there_are_twenty_on_many_pages() -> None:
    assert len({asked["question"] for asked in QUESTIONS}) >= 20
    assert len({asked["page"] for asked in QUESTIONS}) >= 12


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a lost link, anchor or name of the API is an error."""
    missing = [name for name in ("mkdocs", "material", "mkdocstrings") if find_spec(name) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed: pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("asked", QUESTIONS, ids=lambda asked: asked["question"])
def test_the_search_finds_its_page(asked: dict[str, str], site: Path) -> None:
    sections = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    found = ranked(asked["question"], sections)[:FIRST]
    page = asked["page"].removeprefix("docs/").replace(".md", ".html")
    assert page in found


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    foreign = re.compile(r'<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)="(https?:)?//', flags=re.IGNORECASE)
    assert [page.name for page in site.rglob("*.html") if foreign.search(page.read_text())] == []
    sheets = "".join(sheet.read_text() for sheet in site.rglob("*.css"))
    assert not re.findall(r"url\(['\"]?https?:|@import", sheets)


@pytest.mark.slow
def test_pages_of_the_repository_and_the_api_are_there(site: Path) -> None:
    assert "promptreid.load" in (site / "reference" / "retrieval.html").read_text()
    assert ":class:" not in "".join(page.read_text() for page in (site / "reference").glob("*.html"))
    assert "mip/sysu_mm01" in (site / "repository" / "configurations.html").read_text()
    assert not (site / "hooks").exists()


def ranked(question: str, sections: list[dict[str, str]]) -> list[str]:
    """Pages by their best section: BM25 over its words, those of the titles of section and page counted again.

    Args:
        question: words, of which those that say nothing are left out.
        sections: of mkdocs' search index, with ``location``, ``title`` and ``text``.
    """
    titles = {section["location"]: section["title"] for section in sections if "#" not in section["location"]}
    bags = []
    for section in sections:
        page = section["location"].partition("#")[0]
        words = words_of(section["text"]) + 4 * words_of(section["title"]) + 2 * words_of(titles.get(page, ""))
        bags.append((page, Counter(words)))
    mean = sum(bag.total() for _, bag in bags) / len(bags)
    best: dict[str, float] = {}
    for word in set(words_of(question)):
        holders = sum(word in bag for _, bag in bags)
        weight = math.log(1 + (len(bags) - holders + 0.5) / (holders + 0.5))
        for number, (_, bag) in enumerate(bags):
            count = bag[word]
            score = weight * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * bag.total() / mean)) if count else 0.0
            best[str(number)] = best.get(str(number), 0.0) + score
    pages: dict[str, float] = {}
    for number, (page, _) in enumerate(bags):
        pages[page] = max(pages.get(page, 0.0), best.get(str(number), 0.0))
    return sorted(pages, key=pages.__getitem__, reverse=True)


def words_of(text: str) -> list[str]:
    """Words in lower case without tags, endings and words that say nothing."""
    plain = unescape(re.sub(r"<[^>]+>", " ", text)).lower()
    words = re.findall(r"[a-z0-9]+", plain)
    return [re.sub(r"(?<=\w{3})(?:ing|ed|es|s)$", "", word) for word in words if word not in STOP]
