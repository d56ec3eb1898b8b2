"""docs/licences.md has every direct dependency, and its licences are read and flagged rightly."""

from __future__ import annotations

import re

import licences
import pytest
from licences import ALWAYS, NONE_STATED, PAGE, direct, entries, flag_of, licence_of, page, reasons
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DIRECT = {canonicalize_name(each.name) for group in direct().values() for each in group}


def rows_of(text: str, heading: str) -> dict[str, list[str]]:
    """First cell -> the other cells, of the table below a heading."""
    part = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [re.split(r" \| ", line.strip("| ")) for line in part.splitlines() if line.startswith("| ")]
    return {first: rest for first, *rest in cells[1:]}


def test_every_direct_dependency_is_on_the_page_with_its_licence_and_reason() -> None:
    rows = rows_of(PAGE.read_text(encoding="utf-8"), "Direct dependencies")
    assert rows.keys() == DIRECT == reasons().keys()
    assert {name: why for name, (_, _, why) in rows.items()} == reasons()
    assert all(licence != NONE_STATED for licence, _, _ in rows.values())


@pytest.mark.parametrize(
    ("licence", "flag"),
    [
        ("MIT", ""),
        ("BSD-3-Clause AND MIT", ""),
        ("Apache-2.0 WITH LLVM-exception", ""),
        ("MPL-2.0 AND MIT", "weak copyleft"),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", "weak copyleft"),
        ("Mozilla Public License 2.0 (MPL 2.0)", "weak copyleft"),
        ("LGPL-2.1-or-later", "weak copyleft"),
        ("GNU Lesser General Public License v3 (LGPLv3)", "weak copyleft"),
        ("GPL-3.0-only", "copyleft"),
        ("AGPL-3.0-or-later", "copyleft"),
        ("GNU General Public License v2 (GPLv2)", "copyleft"),
        ("BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1", ""),
        ("GPL-2.0-only OR MIT", ""),
        ("GPL-2.0-only OR MPL-2.0", "weak copyleft"),
        ("LicenseRef-NVIDIA-Proprietary", "proprietary"),
        (NONE_STATED, NONE_STATED),
    ],
)
def test_flags(licence: str, flag: str) -> None:
    assert flag_of(licence) == flag


@pytest.mark.parametrize(
    ("about", "classifiers", "licence"),
    [
        ({"License-Expression": "MIT", "License": "BSD"}, [], "MIT"),
        ({"License": "BSD"}, ["License :: OSI Approved :: MIT License"], "BSD"),
        ({"License": "Copyright 2020\nAll of it"}, ["License :: OSI Approved :: MIT License"], "MIT License"),
        ({"License": "UNKNOWN"}, ["License :: OSI Approved", "License :: Free"], "Free"),
        ({}, ["Topic :: Software"], NONE_STATED),
    ],
)
def test_where_the_licence_is_stated(about: dict[str, str], classifiers: list[str], licence: str) -> None:
    assert licence_of(about, classifiers) == licence


def test_what_dependencies_need_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {ALWAYS: [Requirement("Jinja2>=3")], "test": [Requirement("hypothesis"), Requirement("jinja2")]}
    monkeypatch.setattr(licences, "direct", lambda: wanted)
    found = entries()
    assert found["markupsafe"].asked_by == {"jinja2"} and found["jinja2"].extras == {ALWAYS, "test"}
    assert found["hypothesis"].flag == "weak copyleft" and "sortedcontainers" in found
    text = page(found)
    assert rows_of(text, "Copyleft, proprietary, not stated")["hypothesis"][1:] == ["weak copyleft", "test"]
    assert rows_of(text, "Direct dependencies")["jinja2"][1:] == [ALWAYS, reasons()["jinja2"]]
    assert rows_of(text, "What these need")["markupsafe"][1:] == [ALWAYS, "jinja2"]


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licences, "direct", lambda: {"fast": [Requirement("nothing-of-this-name>=2")]})
    with pytest.raises(ValueError, match=r"nothing-of-this-name>=2: not installed; pip install every extra"):
        entries()
