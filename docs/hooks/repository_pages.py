"""Hook of mkdocs: pages of the site that are files elsewhere in the repository.

The change log, the guide for contributors, benchmarks, configurations, examples and notebooks stay where GitHub and pip
expect them. Here they become pages, and links of all pages to them, which are relative to the repository, become links
to these pages.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
DOCS = "docs"
COPIED = {
    "CHANGELOG.md": "repository/changelog.md",
    "CONTRIBUTING.md": "repository/contributing.md",
    "SECURITY.md": "repository/security.md",
    "benchmarks/README.md": "repository/benchmarks.md",
}
"""Markdown files of the repository, and their pages."""
FOLDERS = {"configs": "repository/configurations.md", "examples": "repository/examples.md", "notebooks": "notebooks"}
"""Folders: one page for all of their files, or for notebooks a page each."""
_ORIGINS = {page: origin for origin, page in COPIED.items()}
_LINK = re.compile(r"\[([^\]\n]*)\]\((?![a-z]+:|#|/)([^)#\s]+)(#[^)\s]*)?\)")
_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod|obj):<code>~?([^<]*)</code>")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made of other files."""
    made = {page: (ROOT / origin).read_text(encoding="utf-8") for origin, page in COPIED.items()}
    made[FOLDERS["configs"]] = "\n".join(_configurations())
    made[FOLDERS["examples"]] = "\n".join(_examples())
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        made[f"notebooks/{notebook.stem}.md"] = "\n\n".join(_cells(json.loads(notebook.read_text(encoding="utf-8"))))
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links into the repository into links between pages."""
    here = page.file.src_uri
    origin = here if here.startswith("notebooks/") else _ORIGINS.get(here, f"{DOCS}/{here}")

    def replaced(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link[2]))
        found = page_of(target)
        if found is None:
            return link[0]
        words = _title(target) if link[1].endswith(".md") else link[1]
        return f"[{words}]({_relative(found, here)}{link[3] or ''})"

    return _LINK.sub(replaced, _with_deep_lists(markdown))


def on_page_content(html: str, **_: Any) -> str:
    """Show the roles that docstrings have, such as ``:class:``, as the code that they mean."""
    return _ROLE.sub(lambda role: f"<code>{role[1].rpartition('.')[2] if '.' in role[1] else role[1]}</code>", html)


def page_of(target: str) -> str | None:
    """The page that shows a file of the repository; None where there is none.

    Args:
        target: a path from the repository's root, with ``/``.
    """
    if target.startswith(f"{DOCS}/"):
        return target.removeprefix(f"{DOCS}/")
    if target in COPIED:
        return COPIED[target]
    folder, _, rest = target.partition("/")
    if folder not in FOLDERS:
        return None
    return FOLDERS[folder] if FOLDERS[folder].endswith(".md") else f"{FOLDERS[folder]}/{Path(rest).stem}.md"


def _with_deep_lists(markdown: str) -> str:
    """What belongs to an item of a list, four spaces deep: GitHub takes two, Python's Markdown does not."""
    lines, fenced = [], False
    for line in markdown.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        deep = not fenced and line.startswith("  ") and not line.startswith("    ")
        lines.append(f"  {line}" if deep else line)
    return "\n".join(lines) + "\n"


def _title(target: str) -> str:
    """What a page calls itself, for links that show its file's name, as is usual on GitHub."""
    file = ROOT / target
    heading = re.match(r"# (.+)", file.read_text(encoding="utf-8")) if file.suffix == ".md" and file.is_file() else None
    return heading[1] if heading else target.rpartition("/")[2]


def _relative(target: str, page: str) -> str:
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


def _configurations() -> Iterator[str]:
    yield "# Shipped configurations\n"
    yield "`promptreid train NAME` takes each by its name; any key of [the configuration](../config.md) may follow.\n"
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        name = path.relative_to(ROOT / "configs").with_suffix("").as_posix()
        text = path.read_text(encoding="utf-8")
        comment = re.match(r"(?:#.*\n)*", text)
        about = " ".join(line.lstrip("# ") for line in (comment[0] if comment else "").splitlines())
        yield f'## `{name}`\n\n{about}\n\n??? note "configs/{name}.yaml"\n'
        yield _indented(f"```yaml\n{text.rstrip()}\n```\n")


def _examples() -> Iterator[str]:
    yield "# Examples\n"
    yield "The files in `examples/`, which the tests run; [extending.md](../extending.md) explains what they do.\n"
    for path in sorted((ROOT / "examples").iterdir()):
        if path.suffix in (".py", ".yaml"):
            language = "python" if path.suffix == ".py" else "yaml"
            yield f"## `{path.name}`\n\n```{language}\n{path.read_text(encoding='utf-8').rstrip()}\n```\n"


def _indented(text: str) -> str:
    return "".join(f"    {line}" if line.strip() else line for line in text.splitlines(keepends=True))


def _cells(notebook: dict[str, Any]) -> Iterator[str]:
    """A notebook's cells and their kept outputs as Markdown."""
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield source
            continue
        yield f"```python\n{source}\n```"
        yield from (shown for output in cell["outputs"] if (shown := _output(output)))


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        return f"![output](data:image/png;base64,{''.join(data['image/png']).strip()})"
    text = "".join(output.get("text") or data.get("text/plain", ""))
    return f"```text\n{text.rstrip()}\n```" if text.strip() else ""
