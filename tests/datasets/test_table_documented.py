"""What docs/datasets.md says about tables runs, and names every column and split."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from image_tables import write_image
from small_runs import ROOT

from promptreid import host
from promptreid.config import load_config
from promptreid.datasets.checks import check
from promptreid.datasets.table_rows import _COLUMNS, SPLITS
from promptreid.runs.run import run

TEXT = (ROOT / "docs" / "datasets.md").read_text()


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture
def documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the example's files."""
    monkeypatch.chdir(tmp_path)
    Path("people").mkdir()
    for language in ("csv", "yaml"):
        Path(f"people/people.{language}").write_text(examples(language)[0])
    for number, line in enumerate(examples("csv")[0].splitlines()[1:]):
        write_image(Path("people") / line.split(",")[0], number)
    return tmp_path


def test_the_example_trains_and_tests(documented: Path) -> None:
    small = {"mip.vit.depth": 2, "mip.vit.embed_dim": 16, "mip.vit.num_heads": 2}
    short = {"train.max_epoch": 1, "train.warmup_epochs": 0, "data.workers": 0}
    run(load_config("people/people.yaml", overrides={**small, **short}))
    results = json.loads(Path("log/people/results-table.json").read_text())["results"]
    assert [result["protocol"] for result in results] == [
        "cross-modal infrared-visible",
        "cross-modal visible-infrared",
    ]
    report = check("table", table="people/people.csv")
    assert report.good and report.notes[0].startswith("train: 2 identities, 4 samples")


def test_the_python_examples_run(documented: Path) -> None:
    bound, named = examples("python")
    for code in (bound, named):
        space: dict[str, Any] = {}
        exec(compile(code, "datasets.md", "exec"), space)
        assert space["data"].num_train_pids == 2
    del host._DATASETS["our_people"], host._ours["dataset", "our_people"]


def test_the_columns_and_splits_are_documented() -> None:
    assert [name for name in (*_COLUMNS, *SPLITS) if f"`{name}`" not in TEXT] == []
