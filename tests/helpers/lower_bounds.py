"""The oldest set of dependencies that pyproject.toml allows, as a file of requirements for pip.

``python tests/helpers/lower_bounds.py`` writes requirements/min.txt; ``make test-min`` installs it and runs the tests.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it there

ROOT = Path(__file__).resolve().parents[2]
MINIMUM = ROOT / "requirements" / "min.txt"
UNTESTED = {"check", "coverage", "docs", "fuzz"}
"""Extras that no test uses."""


def project() -> dict[str, Any]:
    """The table ``project`` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def requirements_of_tests() -> Iterator[Requirement]:
    """All requirements of pyproject.toml, those of every extra that tests use included."""
    metadata = project()
    yield from map(Requirement, metadata["dependencies"])
    for extra, requirements in metadata["optional-dependencies"].items():
        if extra not in UNTESTED:
            yield from map(Requirement, requirements)


def pinned_to_lower_bounds(requirements: Iterable[Requirement]) -> list[str]:
    """``name==bound`` of each distribution, sorted by name.

    Raises:
        ValueError: a requirement has no lower bound, or two of one distribution and one marker differ in theirs.
    """
    bounds: dict[tuple[str, str], Version] = {}
    for requirement in requirements:
        found = [Version(each.version) for each in requirement.specifier if each.operator in (">=", "==")]
        if len(found) != 1:
            raise ValueError(f"{requirement}: has no lower bound; write {requirement.name}>=VERSION in pyproject.toml")
        key = canonicalize_name(requirement.name), str(requirement.marker or "")
        if bounds.setdefault(key, found[0]) != found[0]:
            raise ValueError(f"{requirement}: pyproject.toml has another lower bound too, {bounds[key]}; write one")
    return [f"{name}=={bound}{marker and f'; {marker}'}" for (name, marker), bound in sorted(bounds.items())]


def text_of_minimum() -> str:
    """What requirements/min.txt has to be."""
    lines = pinned_to_lower_bounds(requirements_of_tests())
    head = "# Each lower bound of pyproject.toml, by tests/helpers/lower_bounds.py; `make test-min` installs this.\n"
    return head + "\n".join(lines) + "\n"


if __name__ == "__main__":
    MINIMUM.write_text(text_of_minimum(), encoding="utf-8")
