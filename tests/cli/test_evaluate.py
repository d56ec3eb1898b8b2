"""The command line that scores features: what it prints and writes, and what it refuses."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from promptreid.evaluation.features_io import FeatureTable, save_features
from promptreid.evaluation.statistics.per_query import PerQuery

TOOL = Path(__file__).parents[2] / "tools" / "evaluate.py"


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """Two files of SYSU-like features; ``good.npz`` has less noise than ``bad.safetensors``."""
    random = np.random.default_rng(0)
    pids = np.tile(np.arange(8), 24)
    camids = np.repeat([2, 5, 0, 1, 3, 4], 32)
    infrared = np.isin(camids, (2, 5))
    centres, noise = random.standard_normal((8, 6))[pids], random.standard_normal((len(pids), 6))
    for name, scale in (("good.npz", 0.7), ("bad.safetensors", 1.2)):
        table = FeatureTable(
            (centres + scale * noise).astype(np.float32),
            pids,
            camids,
            np.where(infrared, "query", "gallery"),
            modality=np.where(infrared, "infrared", "visible"),
            paths=np.array([f"{row}.jpg" for row in range(len(pids))]),
        )
        save_features(table, tmp_path / name)
    return tmp_path


def evaluate(*args: str | Path) -> None:
    """The tool's ``main`` in this process."""
    runpy.run_path(str(TOOL))["main"]([str(arg) for arg in args])


def test_a_family_gives_a_line_each(features: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(features / "good.npz", "--protocol", "sysu-python", "--protocol", "market1501", "--metric", "cosine")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0].split(":")[0] for line in lines] == [
        "sysu-python all 1-shot",
        "sysu-python all 10-shot",
        "sysu-python indoor 1-shot",
        "sysu-python indoor 10-shot",
        "market1501",
    ]
    assert all("mAP" in line and "valid queries" in line for line in lines)


def test_refinements_trials_and_roc_are_named(features: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(features / "good.npz", "--protocol", "sysu-python all 1-shot", "--trials", "--roc", "0.01", "0.1",
             "--rerank", "--k1", "8", "--k2", "3", "--lambda", "0.2", "--aqe", "--aqe-alpha", "3")  # fmt: skip
    *trials, result, roc = capsys.readouterr().out.splitlines()
    name = "sysu-python all 1-shot + AQE(5,3) + k-reciprocal(8,3,0.2)"
    assert len(trials) == 10 and result.startswith(f"{name} (10 trials): R1 ")
    assert roc.startswith(f"{name}: TPR@FPR=0.01 ")


def test_directions_follow_the_file(features: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(features / "good.npz", "--protocol", "llcm-paper", "--per-query", features / "q.csv")
    first, second, written = capsys.readouterr().out.splitlines()
    assert first.startswith("llcm-paper visible-infrared (10 trials)") and "128 valid queries" in first
    assert second.startswith("llcm-paper infrared-visible (10 trials)") and "64 valid queries" in second
    assert written == f"1920 rows in {features / 'q.csv'}"


def test_comparison_with_features_and_with_a_table_agree(features: Path, capsys: pytest.CaptureFixture[str]) -> None:
    protocol = ("--protocol", "sysu-python all 1-shot")
    evaluate(features / "bad.safetensors", *protocol, "--per-query", features / "bad.csv")
    assert len(PerQuery.load(features / "bad.csv")) == 640
    capsys.readouterr()
    comparisons = []
    for other in ("bad.safetensors", "bad.csv"):
        evaluate(features / "good.npz", *protocol, "--compare", features / other, "--unit", "pid")
        comparisons.append(capsys.readouterr().out.splitlines()[-1])
    assert comparisons[0] == comparisons[1]
    assert comparisons[0].startswith("sysu-python all 1-shot: R1 ") and comparisons[0].endswith("8 identities")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["good.npz", "--protocol", "sysu-pyton"], "did you mean"),
        (["good.npz", "--protocol", "regdb-split-1"], "camid"),
        (["none.npz", "--protocol", "market1501"], "no such file of features"),
        (["good.npz", "--protocol", "sysu-official"], "rand_perm_cam.mat"),
        (["good.npz", "--protocol", "market1501", "--rerank", "--k1", "0"], "k1: 0 is below 1"),
        (["good.npz", "--protocol", "market1501", "--per-query", "q.txt"], "tables end in .csv or .parquet"),
    ],
)
def test_mistakes_are_value_errors(
    args: list[str], message: str, features: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(features)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        evaluate(*args)


def test_from_a_shell_a_mistake_is_one_line_and_exit_code_2(features: Path) -> None:
    command = [sys.executable, str(TOOL), "good.npz", "--protocol", "imagenet"]
    done = subprocess.run(command, cwd=features, capture_output=True, text=True, timeout=120, check=False,
                          env={"PYTHONPATH": ":".join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: protocol 'imagenet' is unknown; the families are market1501, ")
    assert done.stderr.count("\n") == 1 and done.stdout == ""
