"""The tables of ``docs/config.md`` from the tables of keys: ``python -m promptreid.config.document docs/config.md``.

The table of a section goes between ``<!-- keys: TITLE -->`` and ``<!-- end -->``, where TITLE is the section's. The
rest of the page is written by hand.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from promptreid.config.defaults import default_config
from promptreid.config.schema import Key, Section
from promptreid.config.sections import all_sections

_MARKED = re.compile(r"(<!-- keys: (.+?) -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def with_tables(page: str) -> str:
    """Return the page with each marked table written again.

    Raises:
        ValueError: a marker names an unknown section, or a section has no marker.
    """
    default_config()  # brings the methods
    sections = {section.title: section for section in all_sections()}
    marked = [match[2] for match in _MARKED.finditer(page)]
    unknown = sorted(set(marked) - set(sections))
    if unknown:
        raise ValueError(f"<!-- keys: {unknown[0]} -->: there is no such section; there are {', '.join(sections)}")
    absent = [title for title in sections if title not in marked and sections[title].keys]
    if absent:
        raise ValueError(f"the page has no table for {', '.join(absent)}: add <!-- keys: {absent[0]} --> <!-- end -->")
    return _MARKED.sub(lambda match: match[1] + table_of(sections[match[2]]) + match[3], page)


def table_of(section: Section) -> str:
    """A Markdown table: key, default, allowed values, meaning."""
    rows = [_row(key) for key in section.keys]
    return "\n".join(["| key | default | values | meaning |", "|---|---|---|---|", *rows, ""])


def _row(key: Key) -> str:
    needs = f" (with `{key.needs.replace('=', ' ').replace('|', ' or ')}`)" if key.needs else ""
    allowed = key.allowed() + (", `None`" if key.nullable else "")
    return f"| `{key.name}` | `{key.default!r}` | {allowed} | {key.meaning}{needs} |"


def main(path: str) -> None:
    """Bring a page up to date."""
    file = Path(path)
    file.write_text(with_tables(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
