"""The tables of a page from the results: ``python -m promptreid.runs.tables.document docs/results.md [README.md ...]``.

What stands between ``<!-- results: TABLE -->`` and ``<!-- end of results -->`` is the table of that name, made from
``results/TABLE`` beside ``docs/``, or beside the page itself. All else is written by hand.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from promptreid.runs.tables.published import TABLE_FILE
from promptreid.runs.tables.render import ResultTable

_MARKED = re.compile(r"(<!-- results: (\S+) -->\n).*?(<!-- end of results -->)", flags=re.DOTALL)


def with_results(page: str, results: Path) -> str:
    """The page with each marked table made anew.

    Args:
        page: Markdown.
        results: the folder with the tables' folders.

    Raises:
        ValueError: a marker of a table that has no results, or without an end.
    """
    if len(re.findall(r"<!-- results: ", page)) != len(_MARKED.findall(page)):
        raise ValueError("a marker <!-- results: TABLE --> has no <!-- end of results --> of its own after it; add it")

    def table(match: re.Match[str]) -> str:
        folder = results / match[2]
        if not (folder / TABLE_FILE).is_file():
            there = sorted(file.parent.name for file in results.glob(f"*/{TABLE_FILE}"))
            raise ValueError(
                f"<!-- results: {match[2]} -->: {folder} has no {TABLE_FILE}; there are {', '.join(there) or 'none'}; "
                f"train it with promptreid table {match[2]} --results {results}"
            )
        return f"{match[1]}\n{ResultTable.read(folder).markdown(titled=False)}\n{match[3]}"

    return _MARKED.sub(table, page)


def results_of(page: Path) -> Path:
    """The folder of the results that a page is made from."""
    folder = page.resolve().parent
    return (folder.parent if folder.name == "docs" else folder) / "results"


def main(paths: list[str]) -> None:
    """Bring pages up to date."""
    for page in map(Path, paths):
        text = page.read_text(encoding="utf-8")
        page.write_text(with_results(text, results_of(page)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
