"""What the README tells a user to type works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import python

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs_in_a_fresh_interpreter(sysu_root: Path, tmp_path: Path) -> None:
    (code,) = (code for code in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL) if "torchreid." in code)
    small = code.replace("height=128", "height=64").replace("width=64", "width=32").replace("workers=2", "workers=0")
    assert small.count("=64") == 1 and code.startswith("import promptreid")
    (tmp_path / "reid-data").mkdir()
    (tmp_path / "reid-data" / "quickstart").symlink_to(sysu_root)
    done = python("-c", small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "log" / "torchreid" / "model" / "model.pth.tar-1").is_file()


def test_every_file_it_names_exists() -> None:
    named = re.findall(r"(?:tools|configs|docs)/[\w/]+\.(?:py|yaml|md)", README)
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    """Paths below ``plugin/promptreid``, ``tests``, ``benchmarks``, ..., with or without the folders above them."""
    named = re.findall(r"`((?:[\w.]+/)+\w+\.py)`", page.read_text())
    places = (ROOT, ROOT / "plugin", ROOT / "plugin" / "promptreid")
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


def test_every_model_it_names_is_registered() -> None:
    from promptreid import MODELS

    paragraph = next(part for part in README.split("\n\n") if part.startswith("Models: "))
    names = [
        f"{before}{choice}{after}"
        for before, choices, after in re.findall(r"`(\w+)(?:\{([\w,]+)\}(\w*))?`", paragraph)
        for choice in choices.split(",")
    ]
    for_trying_out = {"dmpt_clip_tiny"}
    assert sorted(names) == sorted(set(MODELS) - for_trying_out)
