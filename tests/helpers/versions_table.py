"""Under which versions the suite ran, and how it ended: from pytest's JUnit files to docs/reliability.md.

``python tests/helpers/versions_table.py NAME WHAT JUNIT_XML...``, with the Python that ran the tests, writes
tests/versions/NAME.json and the section "Versions tested"; ``make test-min`` and ``make test-new`` end with it. Without
arguments the section is written alone.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from host_layouts import use_layout_of_environment

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "tests" / "versions"
PAGE = ROOT / "docs" / "reliability.md"
HEADING = "## Versions tested\n"
DISTRIBUTIONS = {"torch": "torch", "timm": "timm", "open_clip": "open_clip_torch", "numpy": "numpy"}
TYPES = {"bfloat16": r"bfloat16|bf16", "float16": r"float16|fp16", "float64": "float64", "int8": "int8"}
"""Types other than float32, and what names them in a test's name or parameters; the first that matches counts."""
OUTCOMES = ("passed", "failed", "skipped")
_INTRODUCTION = """
Each row is a run of the tests without those marked slow, unless it says otherwise: passed / failed / skipped, apart for
those whose names have another type than float32. Rows are made of pytest's own record of its run (`tests/versions/`),
by `make test-min` (each lower bound of `pyproject.toml`, `requirements/min.txt`), by `make test-new` (the newest of
everything, without `constraints.txt`), and by `python tests/helpers/versions_table.py` for other Pythons and for
GitHub's layout of torchreid (`TORCHREID_SRC=emulated make test`).
"""


def type_of(test: str) -> str:
    """The type of numbers that a test's name or parameters say."""
    return next((name for name, pattern in TYPES.items() if re.search(pattern, test)), "float32")


def outcomes(*junit: str) -> tuple[dict[str, dict[str, int]], list[str], dict[str, int]]:
    """Counts by type and outcome, the names of the tests that failed, and why others were skipped, from JUnit files.

    Errors of fixtures are failures; expected failures are skipped, as pytest writes them. Of a test that is in several
    files, the last one counts: what failed may be run again once it is mended. A test that was interrupted has no name.
    """
    ends: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for case in (case for text in junit for case in ElementTree.fromstring(text).iterfind(".//testcase[@name]")):
        name = f"{case.get('classname', '').replace('.', '/')}::{case.get('name')}"
        marks = {child.tag: child.get("message", "") for child in case}
        ends[name] = "failed" if marks.keys() & {"failure", "error"} else "skipped" if "skipped" in marks else "passed"
        reasons[name] = marks.get("skipped", "")
    counts = {name: dict.fromkeys(OUTCOMES, 0) for name in ("float32", *TYPES)}
    for name, outcome in ends.items():
        counts[type_of(name)][outcome] += 1
    skipped = Counter(reasons[name] for name, outcome in ends.items() if outcome == "skipped")
    return counts, [name for name, outcome in ends.items() if outcome == "failed"], dict(sorted(skipped.items()))


def row(record: Mapping[str, Any]) -> str:
    """A record's line of the table."""
    cells = [record[key] for key in ("set", "python", "torch", "torchreid", "timm", "open_clip", "numpy")]
    cells += [" / ".join(str(counts[outcome]) for outcome in OUTCOMES) for counts in record["counts"].values()]
    return "| " + " | ".join([*cells, record["commit"]]) + " |"


def section(records: Sequence[Mapping[str, Any]]) -> str:
    """The text of "Versions tested", heading and a last empty line included."""
    head = ["set", "Python", "torch", "torchreid", "timm", "open_clip", "numpy", "float32", *TYPES, "commit"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    ordered = sorted(records, key=lambda record: [int(part) for part in record["python"].split(".")])
    lines += map(row, ordered)
    notes = [f"* Python {record['python']}: `{name}` failed" for record in ordered for name in record["failed"]]
    for record in ordered:
        notes += [
            f"* Python {record['python']}: {count} skipped, {reason}" for reason, count in record["skipped"].items()
        ]
    return "\n".join([HEADING + _INTRODUCTION, *lines, *([""] if notes else []), *notes]) + "\n\n"


def recorded() -> list[dict[str, Any]]:
    """All records of tests/versions."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RECORDS.glob("*.json"))]


def with_section(page: str, text: str) -> str:
    """A page whose section "Versions tested" is ``text``; where it has none, it comes before the last section."""
    start = page.find(HEADING)
    if start < 0:
        start = end = page.rindex("\n## ") + 1
    else:
        end = page.find("\n## ", start) + 1 or len(page)
    return page[:start] + text + page[end:]


def record(name: str, what: str, *junit: Path) -> None:
    """Write the record of a run, in one or several parts, that this very Python has made."""
    use_layout_of_environment()
    from promptreid import host
    from promptreid.engine.checkpoints.random_state import git_commit

    layout = "" if host.LAYOUT == "registry" else ", GitHub's layout"
    counts, failed, skipped = outcomes(*(path.read_text(encoding="utf-8") for path in junit))
    about = {"set": what, "python": platform.python_version(), "torchreid": f"{host.torchreid.__version__}{layout}"}
    versions = {key: metadata.version(distribution) for key, distribution in DISTRIBUTIONS.items()}
    commit, dirty, _ = git_commit().partition("-dirty")
    entry = {**about, **versions, "commit": commit[:10] + dirty, "counts": counts}
    entry |= {"failed": failed, "skipped": skipped}
    RECORDS.mkdir(exist_ok=True)
    (RECORDS / f"{name}.json").write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:]:
        record(sys.argv[1], sys.argv[2], *map(Path, sys.argv[3:]))
    PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8"), section(recorded())), encoding="utf-8")
