"""The verb that scores features and tests runs: what it prints and writes, and what it refuses."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from command_line import promptreid

from promptreid.config import plugins
from promptreid.evaluation import MarketProtocol, register_protocol
from promptreid.evaluation.features_io import FeatureTable, save_features
from promptreid.evaluation.protocols import catalogue
from promptreid.evaluation.statistics.per_query import PerQuery


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
    assert promptreid("evaluate", *args) == 0


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


def test_re_ranking_of_plain_distances_says_so(features: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for extra in ([], ["--rerank-distances", "squared"], ["--rerank-distances", "plain"]):
        evaluate(features / "bad.safetensors", "--protocol", "nothing-excluded", "--rerank", *extra)
        lines += capsys.readouterr().out.splitlines()
    squared, again, plain = (line.split(": ") for line in lines)
    assert squared == again and squared[0] == "nothing-excluded + k-reciprocal(20,6,0.3)"
    assert plain[0] == "nothing-excluded + k-reciprocal(20,6,0.3,plain)" and plain[1] != squared[1]


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
        (["good.npz", "--protocol", "imagenet"], "protocol 'imagenet' is unknown; the families are market1501, "),
        (["good.npz"], "arguments are required: --protocol"),
        (["good.npz", "--protocol", "market1501", "data.root", "x"], "takes no configuration, overlay, keys or --root"),
        (["good.npz", "--protocol", "market1501", "--overlay", "profiles/8gb"], "takes no configuration, overlay, "),
        (["mip/quickstart", "--protocol", "market1501", "--k1", "3"], "--protocol, --k1: of a file of features alone"),
        (["mip/quickstart", "--plugin", "mine.py"], "--plugin: of a file of features alone"),
        (["good.npz", "--protocol", "market1501", "--plugin", "mine.py"], "plugins: no file "),
        ([], "no configuration: give the name of one"),
        (["run"], "no configuration 'run': neither a file, nor a run's folder"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    args: list[str], message: str, features: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(features)
    assert promptreid("evaluate", *args) == 2
    printed, error = capsys.readouterr()
    assert message in error and error.startswith("error: ")
    assert error.count("\n") == 1 and printed == ""


def test_a_run_is_tested_by_its_folder_wherever_it_is(
    small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {
        "data.height": 32, "data.width": 16, "data.workers": 0, "data.synthetic.like": "", "backbone.stride": 4,
        "backbone.vit.depth": 2, "backbone.vit.embed_dim": 16, "backbone.vit.num_heads": 2, "mip.prompt_length": 2,
        "train.max_epoch": 1, "train.warmup_epochs": 0, "train.batch_size": 32,
        "train.tensorboard.pictures": False,
        "test.protocols": "['sysu-python indoor 1-shot']",
    }  # fmt: skip
    pairs = [part for pair in keys.items() for part in pair]
    run = tmp_path / "run"
    assert promptreid("train", "mip/quickstart", *pairs, "--root", small_root, "data.save_dir", run) == 0
    results = (run / "results-sysu_mm01.json").read_text()
    moved = run.rename(tmp_path / "moved")
    scores = _scores(capsys.readouterr().out)
    assert len(scores) == 1
    for target in ([moved], ["--config-file", moved / "config.yaml", "data.save_dir", moved]):
        (moved / "results-sysu_mm01.json").unlink()
        assert promptreid("evaluate", *target) == 0
        assert _scores(capsys.readouterr().out) == scores
        assert (moved / "results-sysu_mm01.json").exists()
    assert "mAP" in results and not run.exists()


def _scores(printed: str) -> list[str]:
    """Result lines, without how their weights were chosen."""
    return [line.partition("] ")[2] for line in printed.splitlines() if "sysu-python indoor 1-shot (" in line]


def test_a_registered_protocol_is_known(
    features: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalogue, "_registered", {})
    register_protocol(MarketProtocol("mine", exclude="nothing"))
    evaluate(features / "good.npz", "--protocol", "mine", "--protocol", "nothing-excluded")
    mine, known = capsys.readouterr().out.splitlines()
    assert mine == known.replace("nothing-excluded", "mine")


def test_protocols_of_plugins_are_known(
    features: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "_registered", {})
    monkeypatch.setattr(plugins, "_tried", set())
    code = """
from promptreid.evaluation import MarketProtocol, register_protocol
register_protocol(MarketProtocol("{name}", exclude="nothing"))
"""
    for name in ("protocol_of_a_file", "protocol_of_a_package"):
        (features / f"{name}.py").write_text(code.format(name=name))
    point = EntryPoint("reid", "protocol_of_a_package", plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    monkeypatch.syspath_prepend(str(features))
    monkeypatch.chdir(features)
    wanted = [word for name in ("nothing-excluded", "protocol_of_a_file", "protocol_of_a_package")
              for word in ("--protocol", name)]  # fmt: skip
    evaluate("good.npz", *wanted, "--plugin", "protocol_of_a_file.py")
    known, *theirs = (line.split(":", 1)[1] for line in capsys.readouterr().out.splitlines())
    assert theirs == [known, known]
    for name in ("promptreid_plugin_protocol_of_a_file", "protocol_of_a_package"):
        del sys.modules[name]


def test_directions_across_modalities(features: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(features / "good.npz", "--protocol", "cross-modal infrared-visible", "--protocol", "market1501")
    directed, plain = capsys.readouterr().out.splitlines()
    assert directed.replace("cross-modal infrared-visible", "market1501") == plain


def test_an_overlay_lies_over_each_of_several_trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[object, ...]] = []
    monkeypatch.setattr("promptreid.runs.evaluate_several.holds_several", lambda folder: True)
    monkeypatch.setattr("promptreid.runs.evaluate_several.evaluate_several", lambda *given: seen.append(given))
    assert promptreid("evaluate", tmp_path, "--overlay", "profiles/16gb", "--root", "x", "test.flip", "True") == 0
    ((folder, pairs, overrides, overlays),) = seen
    assert (folder, pairs, overrides) == (tmp_path, ["test.flip", "True"], {"data.root": "x"})
    assert [path.name for path in overlays] == ["16gb.yaml"]
