"""Links of all pages lead somewhere, and so do their fragments."""

from __future__ import annotations

import posixpath
from pathlib import Path

import pytest
from doc_pages import REPO, anchors, links, name_of, pages

PAGES = pages()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    lost = [link for link in links(page) if not leads_somewhere(page, link)]
    assert not lost


def leads_somewhere(page: Path, link: str) -> bool:
    """Whether a link of a page names a file and, if it has a fragment, a heading of it. Other sites are not asked."""
    if link.startswith(("https://", "mailto:")):
        return True
    path, _, fragment = link.partition("#")
    target = Path(posixpath.normpath((page.parent / path).as_posix())) if path else page
    if not target.exists() or REPO not in (target, *target.parents):
        return False
    return not fragment or (target.suffix == ".md" and fragment in anchors(target))


@pytest.mark.parametrize(
    ("link", "found"),
    [("docs/training.md", True), ("docs/trainin.md", False), ("docs/training.md#several-processes", True),
     ("docs/training.md#many-processes", False), ("#quickstart", True), ("#no-such-heading", False),
     ("../outside.md", False), ("https://example.org/none", True), ("configs", True)],
)  # fmt: skip
def test_a_lost_link_is_found(link: str, found: bool) -> None:
    assert leads_somewhere(REPO / "README.md", link) is found


def test_there_are_links_with_fragments() -> None:
    assert sum("#" in link for page in PAGES for link in links(page)) >= 3
