"""The table of versions that were tested is made of records, and these of pytest's JUnit files."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest
import torch
import versions_table
from versions_table import HEADING, PAGE, outcomes, record, recorded, section, type_of, with_section

JUNIT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="1" failures="1" skipped="2" tests="6">
<testcase classname="tests.test_a" name="test_one" time="0.1" />
<testcase classname="tests.test_a" name="test_two[bfloat16]"><failure message="m">text</failure></testcase>
<testcase classname="tests.test_a" name="test_two[float16]"><skipped type="pytest.skip" message="no GPU" /></testcase>
<testcase classname="tests.b.test_c" name="test_float64_too"><properties /></testcase>
<testcase classname="tests.b.test_c" name="test_d"><error message="m" /></testcase>
<testcase classname="tests.b.test_c" name="test_e"><skipped type="pytest.xfail" message="known" /></testcase>
<testcase time="0.3" />
</testsuite></testsuites>
"""
PAGE_BEFORE = "# Title\n\n## One\n\ntext\n\n## Last\n\nmore\n"


def test_the_page_has_what_the_records_say() -> None:
    """Where this fails: ``python tests/helpers/versions_table.py``."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_section(page, section(recorded()))
    assert {"min", "new"} <= {path.stem for path in versions_table.RECORDS.glob("*.json")}


def test_outcomes_are_counted_by_type() -> None:
    counts, failed, skipped = outcomes(JUNIT)
    assert {name: tuple(each.values()) for name, each in counts.items()} == {
        "float32": (1, 1, 1),
        "bfloat16": (0, 1, 0),
        "float16": (0, 0, 1),
        "float64": (1, 0, 0),
        "int8": (0, 0, 0),
    }
    assert failed == ["tests/test_a::test_two[bfloat16]", "tests/b/test_c::test_d"]
    assert skipped == {"known": 1, "no GPU": 1}


def test_the_last_run_of_a_test_counts() -> None:
    again = '<testsuite><testcase classname="tests.b.test_c" name="test_d" /></testsuite>'
    counts, failed, _ = outcomes(JUNIT, again)
    assert (counts["float32"], failed) == (
        {"passed": 2, "failed": 0, "skipped": 1},
        ["tests/test_a::test_two[bfloat16]"],
    )
    assert outcomes(again, JUNIT)[0] == outcomes(JUNIT)[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("test_a[mip-fp16]", "float16"), ("test_a[bf16]", "bfloat16"), ("test_half_made", "float32")],
)
def test_the_type_is_in_the_name(name: str, expected: str) -> None:
    assert type_of(name) == expected


def test_a_record_says_what_it_ran_under(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions_table, "RECORDS", tmp_path)
    junit = tmp_path / "junit.xml"
    junit.write_text(JUNIT, encoding="utf-8")
    other = tmp_path / "other.xml"
    other.write_text('<testsuite><testcase classname="tests.c" name="test_int8" /></testsuite>', encoding="utf-8")
    record("mine", "my set", junit, other)
    (entry,) = recorded()
    assert json.loads((tmp_path / "mine.json").read_text()) == entry
    assert (entry["set"], entry["python"]) == ("my set", platform.python_version())
    assert entry["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    lines = section([entry]).splitlines()
    (line,) = (line for line in lines if line.startswith("| my set |"))
    assert " | 1 / 1 / 1 | 0 / 1 / 0 | 0 / 0 / 1 | 1 / 0 / 0 | 1 / 0 / 0 | " in line
    notes = ["`tests/test_a::test_two[bfloat16]` failed", "`tests/b/test_c::test_d` failed"]
    assert lines[-5:-1] == [
        f"* Python {platform.python_version()}: {note}" for note in [*notes, "1 skipped, known", "1 skipped, no GPU"]
    ]


def test_the_section_is_put_before_the_last_one_and_then_replaced() -> None:
    once = with_section(PAGE_BEFORE, HEADING + "\nfirst\n\n")
    assert once == "# Title\n\n## One\n\ntext\n\n## Versions tested\n\nfirst\n\n## Last\n\nmore\n"
    assert with_section(once, HEADING + "\nsecond\n\n") == once.replace("first", "second")


def test_rows_are_in_the_order_of_python() -> None:
    entries = [
        {"set": name, "python": python, "torch": "2", "torchreid": "0", "timm": "1", "open_clip": "3", "numpy": "2"}
        | {
            "commit": "abc",
            "failed": [],
            "skipped": {},
            "counts": {"float32": {"passed": 1, "failed": 0, "skipped": 2}},
        }
        for name, python in (("b", "3.10.13"), ("a", "3.9.2"))
    ]
    rows = [line[:5] for line in section(entries).splitlines() if line.startswith("| ")]
    assert rows == ["| set", "| a |", "| b |"]
