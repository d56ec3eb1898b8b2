"""The notebooks: small, with kept outputs, and every cell runs."""

from __future__ import annotations

import json
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from doc_pages import REPO, blocks

NOTEBOOKS = sorted((REPO / "notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def shown(cell: dict[str, Any]) -> str:
    """The text of a cell's outputs, without pictures."""
    parts: list[str] = []
    for output in cell["outputs"]:
        data = output.get("data", {})
        parts += ["".join(output.get("text", "")), "".join(data.get("text/plain", ""))]
    return "\n".join(parts)


def test_there_are_three() -> None:
    assert NAMES == ["missing_modalities", "own_method", "quickstart_to_ranked_list"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_outputs_are_kept_and_small(path: Path) -> None:
    cells = code_cells(path)
    assert path.stat().st_size < 300_000
    assert sum(bool(cell["outputs"]) for cell in cells) >= 4
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_outputs_name_no_place_of_a_machine(path: Path) -> None:
    text = "\n".join(shown(cell) for cell in code_cells(path))
    assert not re.search(
        r"/(?:tmp|home|root|work|usr)/|Traceback|error: (?!command line: unknown key|adapter.width 0)", text
    )


def test_one_has_ranked_lists() -> None:
    cells = code_cells(REPO / "notebooks" / "quickstart_to_ranked_list.ipynb")
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell["outputs"])


def test_the_tutorial_and_the_notebook_have_the_same_method() -> None:
    page = REPO / "docs" / "tutorials" / "own_method.md"
    (method,) = [block.code for block in blocks(page, "python") if "register_method(Adapter())" in block.code]
    sources = ["".join(cell["source"]) for cell in code_cells(REPO / "notebooks" / "own_method.ipynb")]
    assert f"%%writefile adapter.py\n{method.rstrip()}" in sources


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_every_cell_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = [name for name in ("nbclient", "nbformat", "ipykernel") if find_spec(name) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed: pip install '.[docs]'")
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folder for folder in sys.path if folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute(cwd=str(tmp_path))
    last = [cell for cell in notebook.cells if cell.cell_type == "code"][-1]
    assert any(output.output_type == "execute_result" for output in last.outputs)
    assert not list(tmp_path.iterdir())  # its files are in a folder of its own
