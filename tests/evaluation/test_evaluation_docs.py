"""What docs/evaluation.md says can be done, works."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from promptreid.evaluation import FeatureSet
from promptreid.evaluation.features_io import FeatureTable, save_features
from promptreid.evaluation.protocols import all_protocols, catalogue, find_protocols
from promptreid.evaluation.statistics.per_query import COLUMNS

TEXT = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def test_the_example_of_a_protocol_runs(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(catalogue, "_registered", {})
    exec(compile(examples()[0], "evaluation.md", "exec"), {})
    assert capsys.readouterr().out == "halves\n"
    (protocol,) = find_protocols("halves")
    labels = FeatureSet(None, np.arange(10) % 5, np.arange(10) // 5)
    assert [len(drawn) for drawn in protocol.trials(labels)] == [5, 5, 5]
    assert len(protocol.evaluate_distances(np.eye(10), labels, labels).trials) == 3


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    random = np.random.default_rng(0)
    camids = np.repeat([2, 5, 0, 1, 3, 4], 30)
    table = FeatureTable(
        random.standard_normal((180, 6)),
        np.tile(np.arange(10), 18),
        camids,
        np.where(camids % 3 == 2, "query", "gallery"),
    )
    save_features(table, tmp_path / "mip.npz")
    monkeypatch.chdir(tmp_path)
    _, code = examples()
    exec(compile(code, "evaluation.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in printed[:2]] == [
        "sysu-python all 1-shot",
        "sysu-python all 1-shot + k-reciprocal(20,6,0.3)",
    ]
    assert printed[2].endswith("10 identities")


def test_every_protocol_family_key_and_column_is_named() -> None:
    assert [name for name in all_protocols() if name.split(" ")[0].split("-split-")[0] not in TEXT] == []
    names = [*FeatureTable.__dataclass_fields__, *COLUMNS]
    assert [name for name in names if f"`{name}`" not in TEXT] == []
