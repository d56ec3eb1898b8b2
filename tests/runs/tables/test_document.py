"""Pages that are made from results, and the project's own pages."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from promptreid.runs.tables.document import main, results_of, with_results
from promptreid.runs.tables.render import ResultTable

REPO = Path(__file__).resolve().parents[3]
PAGE = "# Title\n\n<!-- results: toy -->\nold\n<!-- end of results -->\n\nText.\n"


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_the_pages_are_those_of_the_results(page: str) -> None:
    text = (REPO / page).read_text(encoding="utf-8")
    assert with_results(text, REPO / "results") == text, f"run python -m promptreid.runs.tables.document {page}"


def test_every_published_table_can_be_read() -> None:
    for about in (REPO / "results").glob("*/table.json"):
        if list(about.parent.glob("*/row.json")):
            assert ResultTable.read(about.parent).lines


def test_a_marked_table_is_replaced_and_all_else_stays(toy_made: Path) -> None:
    results = toy_made / "results"
    page = with_results(PAGE, results)
    table = ResultTable.read(results / "toy").markdown(titled=False)
    assert page == f"# Title\n\n<!-- results: toy -->\n\n{table}\n<!-- end of results -->\n\nText.\n"
    assert with_results(page, results) == page
    assert with_results("no table", results) == "no table"
    twice = with_results(PAGE + PAGE, results)
    assert twice == page + page


def test_a_page_in_docs_and_one_beside_the_results(toy: Path) -> None:
    (toy / "docs").mkdir()
    pages = [toy / "README.md", toy / "docs" / "results.md"]
    for page in pages:
        page.write_text(PAGE)
        assert results_of(page) == toy / "results"
    main([str(page) for page in pages])
    assert pages[0].read_text() == pages[1].read_text() == with_results(PAGE, toy / "results")
    shutil.rmtree(toy / "results" / "toy" / "cccc")
    assert with_results(pages[0].read_text(), toy / "results") != pages[0].read_text()  # so a test would fail


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (
            "<!-- results: toys -->\n<!-- end of results -->",
            r"toys -->: .*toys has no table.json; there are toy; train it",
        ),
        ("<!-- results: toy -->\nno end", "has no <!-- end of results --> of its own"),
        ("<!-- results: toy -->\n<!-- results: toy -->\n<!-- end of results -->", "of its own after it; add it"),
    ],
)
def test_markers_that_cannot_be(toy_made: Path, page: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_results(page, toy_made / "results")
