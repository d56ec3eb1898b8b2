"""The command line that tests under missing modalities."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from command_line import promptreid
from toy_triples import SIZE, ToyTriples, write_triples

from promptreid import host
from promptreid.engine.checkpoints import files as checkpoint


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of a run that has ended, with random weights."""
    monkeypatch.setitem(host._DATASETS, "toy_triples", ToyTriples)
    write_triples(tmp_path)
    torch.manual_seed(0)
    model = host.models.build_model("three_osnet_x0_25", 4, "triplet", pretrained=False)
    checkpoint.save({"state_dict": model.state_dict(), "epoch": 1}, tmp_path / "run" / "model")
    keys = {
        "data.sources": ["toy_triples"],
        "data.targets": ["toy_triples"],
        "data.height": SIZE[0],
        "data.width": SIZE[1],
        "data.workers": 0,
        "data.save_dir": tmp_path / "run",
        "loss.name": "triplet",
        "model.name": "three_osnet_x0_25",
        "train.batch_size": 8,
    }
    return ["--root", str(tmp_path), *(str(part) for pair in keys.items() for part in pair)]


def test_the_whole_table(given: list[str], tmp_path: Path, capsys) -> None:
    assert promptreid("missing", *given) == 0
    lines = capsys.readouterr().out.splitlines()[-10:]  # torchreid prints before
    assert lines[0] == "toy-triples"
    names = ["full", "M(RGB)", "M(NIR)", "M(TIR)", "M(RGB+NIR)", "M(RGB+TIR)", "M(NIR+TIR)", "mean"]
    assert [line.split()[0] for line in lines[2:]] == names
    assert (tmp_path / "run" / "missing-toy_triples.csv").is_file()


def test_given_sides(given: list[str], tmp_path: Path, capsys) -> None:
    assert promptreid("missing", "--query", "visible,near_infrared", "--gallery", "NIR", *given) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("RGB+NIR -> NIR ")


def test_protocols_by_name(given: list[str], capsys) -> None:
    names = ("toy-triples visible-to-near_infrared", "toy-triples thermal_infrared-to-visible")
    assert promptreid("missing", "--protocol", names[0], "--protocol", names[1], *given) == 0
    lines = capsys.readouterr().out.splitlines()[-4:]
    assert [line.rpartition(" ->")[0] or line.split()[0] for line in lines] == ["mAP", "RGB", "TIR", "mean"]
    assert promptreid("missing", "--protocol", "toy-triples visible-to-near_infrard", *given) == 2
    assert capsys.readouterr().err.strip().endswith("did you mean 'toy-triples visible-to-near_infrared'?")


def test_errors_are_one_line(given: list[str], capsys) -> None:
    assert promptreid("missing", "--query", "visable", "--gallery", "NIR", *given) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: modality 'visable' is none of") and error.endswith("did you mean 'visible'?")
    assert promptreid("missing", "--query", "visible", *given) == 2
    assert "--query and --gallery belong together" in capsys.readouterr().err
