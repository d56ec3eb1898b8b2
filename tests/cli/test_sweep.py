"""The command line of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import REPO, promptreid

FILE = REPO / "configs" / "dmpt" / "rgbnt201.yaml"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr("promptreid.runs.sweep.sweep", lambda *given: seen.append(given))
    return seen


@pytest.mark.parametrize(
    "words",
    [
        ["dmpt/rgbnt201", "--key", "train.lr", "--values", "0.1", "1e-2", "data.root", "x", "data.workers", "1"],
        ["dmpt/rgbnt201", "data.root", "x", "data.workers", "1", "--values", "0.1", "1e-2", "--key", "train.lr"],
        ["--key", "train.lr", "--values", "0.1", "1e-2", "--config-file", FILE, "--root", "x", "data.workers", "1"],
        ["--config-file", FILE, "--key", "train.lr", "--values", "0.1", "1e-2", "--opts", "data.root", "x",
         "data.workers", "1"],
    ],
)  # fmt: skip
def test_values_end_before_a_key(words: list[Any], calls: list[tuple[Any, ...]], capsys) -> None:
    assert promptreid("sweep", *words, "--resume") == 0
    ((cfg, key, values, seeds, overwrite),) = calls
    assert (key, values, seeds, overwrite) == ("train.lr", ["0.1", "1e-2"], 1, False)
    assert (cfg.data.root, cfg.data.workers, cfg.model.name) == ("x", 1, "dmpt_vit_base_patch16")
    assert ("--opts will go away" in capsys.readouterr().err) == ("--opts" in words)


def test_files_are_values(calls: list[tuple[Any, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("vit.pth").touch()
    words = ["--key", "mip.weights", "--values", "vit.pth", "other/vit.pth", "--overwrite", "--seeds", "2"]
    assert promptreid("sweep", "mip/sysu_mm01", *words) == 0
    ((_, _, values, seeds, overwrite),) = calls
    assert (values, seeds, overwrite) == (["vit.pth", "other/vit.pth"], 2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--key", "train.lr", "--values", "1", "2"], "no configuration: give the name of one"),
        (["mip/quickstart", "--key", "train.lr", "--values", "1", "2", "--resume", "--overwrite"], "not allowed with"),
        (["mip/quickstart", "--key", "train.lr"], "required: --values"),
        (["mip/quickstart", "--key", "train.lr", "--values", "1", "2", "--resume", "tests"], "leave it out"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], message: str, calls: list[Any], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(REPO)
    assert promptreid("sweep", *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1 and not calls
