"""docs/licences.md: every distribution that promptreid and its extras bring, its licence, and why it is needed.

``make licences`` writes it from the metadata of what is installed, and needs every extra to be there.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from lower_bounds import ROOT, project
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAGE = ROOT / "docs" / "licences.md"
ALWAYS = "always"
NONE_STATED = "none stated"
TOOLS = {"test", "check"}
UNLISTED = {"coverage", "docs", "fuzz"}
"""Extras of who works on promptreid; nothing of them is installed for its users. The page lists the first two."""

_PAGE = """\
# Licences

promptreid is under the MIT licence (`LICENSE`). Here is what pip installs for it and for its extras, with the licences
that their metadata state ({made}; `make licences` writes this page).
`always` comes with `pip install .`; `test` and `check` are for work on promptreid itself, and so are
`coverage`, `docs` and `fuzz`, which are not listed. None of these is part of promptreid's own wheel.

## Copyleft, proprietary, not stated

Weak copyleft (MPL, LGPL) asks who passes on changed files of theirs for the source of these; it does not reach the
programs that use them. The proprietary ones are NVIDIA's libraries, which a CUDA build of torch needs and a CPU build
does not; cuda-toolkit is a distribution without files that names them.

{flagged}

Of these, the licence files name copyleft licences too: of libraries that the wheels bundle, or in a history of the
licence.

{bundles}

## Direct dependencies

{own}

## What these need

{theirs}
"""
_STRONG = re.compile(r"(?<!L)A?GPL|(?<!Lesser )(?<!Library )General Public", re.IGNORECASE)
_WEAK = re.compile(r"LGPL|Lesser General|Library General|MPL|Mozilla|EPL|Eclipse|CDDL", re.IGNORECASE)
_CLOSED = re.compile(r"proprietary|LicenseRef-NVIDIA|CUDA Toolkit|EULA", re.IGNORECASE)
_SENTENCES = {
    "GPL": re.compile(r"GNU\s+GENERAL\s+PUBLIC\s+LICENSE", re.IGNORECASE),
    "LGPL": re.compile(r"GNU\s+(?:LESSER|LIBRARY)\s+GENERAL\s+PUBLIC\s+LICENSE", re.IGNORECASE),
    "MPL": re.compile(r"Mozilla\s+Public\s+License", re.IGNORECASE),
}
_LICENCE_FILE = re.compile(r"licen[cs]e|copying|notice|3rd.?party|third.?party", re.IGNORECASE)
_QUOTED = re.compile(r'"([A-Za-z][^"]*)"')


@dataclass
class Entry:
    """A distribution: its licence, what it is bundled with, which extras bring it, and who asks for it."""

    name: str
    licence: str
    bundled: str
    extras: set[str] = field(default_factory=set)
    asked_by: set[str] = field(default_factory=set)

    @property
    def flag(self) -> str:
        """What its licence asks, see :func:`flag_of`."""
        return flag_of(self.licence)


def flag_of(licence: str) -> str:
    """``copyleft``, ``weak copyleft``, ``proprietary``, ``none stated`` or nothing.

    ``A OR B`` is as lenient as its most lenient part.
    """
    if licence == NONE_STATED:
        return NONE_STATED
    grades = []
    for choice in re.split(r"\s+OR\s+", licence):
        strong = _STRONG.search(re.sub(r"GPL-[\d.]+(?:-or-later|-only)? WITH \S+", "", choice))
        grades.append(3 if _CLOSED.search(choice) else 2 if strong else 1 if _WEAK.search(choice) else 0)
    lenient = min(grades) if "AND" not in licence else max(grades)
    return ("", "weak copyleft", "copyleft", "proprietary")[lenient]


def licence_of(about: Mapping[str, str], classifiers: Iterable[str]) -> str:
    """The licence in a distribution's metadata: the expression, the short text, or the classifiers."""
    if about.get("License-Expression"):
        return about["License-Expression"]
    short = (about.get("License") or "").strip()
    if short and "\n" not in short and len(short) < 60 and short.upper() not in ("UNKNOWN", "DUAL LICENSE"):
        return short.removeprefix("OSI Approved :: ")
    named = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License :: ")]
    return ", ".join(each for each in named if each != "OSI Approved") or NONE_STATED


def in_licence_files(distribution: metadata.Distribution) -> str:
    """Copyleft licences whose texts lie in the distribution's licence files, those of bundled libraries included."""
    found = set()
    for path in distribution.files or []:
        if _LICENCE_FILE.search(path.name) and path.suffix in ("", ".txt", ".md", ".rst"):
            full = Path(str(path.locate()))
            text = full.read_text(encoding="utf-8", errors="replace") if full.is_file() else ""
            found |= {name for name, pattern in _SENTENCES.items() if pattern.search(text)}
    return ", ".join(sorted(found))


def direct() -> dict[str, list[Requirement]]:
    """Extra, or :data:`ALWAYS` -> its requirements in pyproject.toml."""
    about = project()
    groups = {ALWAYS: about["dependencies"], **about["optional-dependencies"]}
    listed = {extra: group for extra, group in groups.items() if extra not in UNLISTED}
    return {extra: [Requirement(each) for each in group] for extra, group in listed.items()}


def reasons() -> dict[str, str]:
    """Distribution -> the comment beside it in pyproject.toml; ``likewise`` is the reason before."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text[text.index("\ndependencies = [") : text.index("[project.scripts]")]
    found: dict[str, str] = {}
    before = ""
    for line in block.splitlines():
        code, _, comment = line.partition("#")
        before = before if comment.strip() == "likewise" else comment.strip()
        for quoted in _QUOTED.findall(code) if before else []:
            found.setdefault(canonicalize_name(Requirement(quoted).name), before)
    listed = {canonicalize_name(each.name) for group in direct().values() for each in group}
    return {name: why for name, why in found.items() if name in listed}


def entries() -> dict[str, Entry]:
    """Every distribution that is needed, by its canonical name.

    Raises:
        ValueError: one of them is not installed.
    """
    found: dict[str, Entry] = {}
    for extra, requirements in direct().items():
        waiting = [("", requirement) for requirement in requirements]
        seen = set()
        while waiting:
            asking, requirement = waiting.pop()
            entry = _entry(found, requirement)
            entry.extras.add(extra)
            entry.asked_by |= {asking} - {""}
            for wanted in {"", *requirement.extras}:
                if (entry.name, wanted) not in seen:
                    seen.add((entry.name, wanted))
                    waiting += [(entry.name, each) for each in _required(entry.name, wanted)]
    return found


def _entry(found: dict[str, Entry], requirement: Requirement) -> Entry:
    name = canonicalize_name(requirement.name)
    if name not in found:
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            raise ValueError(f"{requirement}: not installed; pip install every extra of pyproject.toml") from None
        about = distribution.metadata
        licence = licence_of(dict(about.items()), about.get_all("Classifier", []))
        found[name] = Entry(name, licence, in_licence_files(distribution))
    return found[name]


def _required(name: str, extra: str) -> list[Requirement]:
    """What a distribution requires here, with one of its extras."""
    required = map(Requirement, metadata.requires(name) or [])
    return [each for each in required if each.marker is None or each.marker.evaluate({"extra": extra})]


def page(found: Mapping[str, Entry]) -> str:
    """The text of docs/licences.md."""
    why = reasons()
    flagged = [[e.name, e.licence, e.flag, _extras(e)] for e in found.values() if e.flag]
    bundles = [[e.name, e.licence, e.bundled, _extras(e)] for e in found.values() if e.bundled and not e.flag]
    own = [[e.name, e.licence, _extras(e), why[e.name]] for e in found.values() if e.name in why]
    theirs = [[e.name, e.licence, _extras(e), _askers(e)] for e in found.values() if e.name not in why]
    python, torch = ".".join(platform.python_version_tuple()[:2]), metadata.version("torch")
    return _PAGE.format(
        made=f"Python {python} and torch {torch}, {platform.system()} {platform.machine()}",
        flagged=_table(["distribution", "licence", "kind", "extras"], flagged),
        bundles=_table(["distribution", "licence", "texts", "extras"], bundles),
        own=_table(["distribution", "licence", "extras", "why"], own),
        theirs=_table(["distribution", "licence", "extras", "needed by"], theirs),
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [head, *sorted(rows)]]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def _extras(entry: Entry) -> str:
    users = sorted(entry.extras - TOOLS - {ALWAYS})
    return ALWAYS if ALWAYS in entry.extras else ", ".join(users or sorted(entry.extras))


def _askers(entry: Entry) -> str:
    askers = sorted(entry.asked_by)
    return ", ".join(askers[:4]) + (f" and {len(askers) - 4} more" if len(askers) > 4 else "")


if __name__ == "__main__":
    Path(sys.argv[1] if sys.argv[1:] else PAGE).write_text(page(entries()), encoding="utf-8")
